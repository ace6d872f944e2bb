import { randomBytes } from 'node:crypto';
import { resealKeys } from '../ca/index.ts';
import { type Environment, openDataDir } from '../ops/index.ts';
import type { Config } from './config.ts';
import { type PassphraseSource, readPassphrase } from './passphrase.ts';
import { keyFolder } from './state-files.ts';

/**
 * Seals the keys of a server that is not running anew: they opened with what the configuration says,
 * and open with `to`, or without a passphrase.
 * @returns how many there are
 * @throws TrustplaneError ERR_DATA_DIR*, ERR_KEY_*, ERR_FILE_*
 */
export async function resealServerKeys(
  config: Config,
  to: PassphraseSource | undefined,
  env: Environment,
): Promise<number> {
  const dataDir = openDataDir(config.dataDir);
  try {
    return await resealKeys({
      folder: keyFolder(config),
      sealKeyFile: config.sealKeyFile,
      from: await readPassphrase(config.sealPassphrase, env),
      to: await readPassphrase(to, env),
      random: randomBytes,
    });
  } finally {
    dataDir.close();
  }
}
