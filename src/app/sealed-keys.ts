import { randomBytes } from 'node:crypto';
import { env } from 'node:process';
import type { SealedKeys } from '../backup/index.ts';
import { exportKeys } from '../ca/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Config } from './config.ts';
import { readPassphrase } from './passphrase.ts';
import { keyFolder } from './state-files.ts';

/** The private keys on disk, as they are sealed, and the seal key, sealed with `passphrase`. @throws TrustplaneError ERR_KEY_* */
export async function readSealedKeys(config: Config, passphrase: Uint8Array): Promise<SealedKeys> {
  if (config.keyStorage !== 'disk') {
    throw new TrustplaneError(
      'ERR_KEY_EXPORT',
      `private keys in ${config.keyStorage} are not part of a backup; take one without them`,
    );
  }
  return await exportKeys({
    folder: keyFolder(config),
    sealKeyFile: config.sealKeyFile,
    from: await readPassphrase(config.sealPassphrase, env),
    to: passphrase,
    random: randomBytes,
  });
}
