import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { env } from 'node:process';
import {
  createMemoryKeyManager,
  createVaultClient,
  createVaultKeyManager,
  createVaultLogin,
  joinKeyManagers,
  type KeyManager,
  loadDiskKeyManager,
  loadKeyOwner,
} from '../ca/index.ts';
import { readFileBounded } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import type { Config } from './config.ts';
import { readPassphrase } from './passphrase.ts';
import type { Process } from './process.ts';
import { keyFolder } from './state-files.ts';
import type { VaultConfig } from './vault-config.ts';

const MAX_CA_BYTES = 1_048_576;

/** Where the private keys of this server's authorities are; closed with `process`. */
export async function openKeyManager(
  config: Config,
  process: Process,
  bucket: Bucket,
): Promise<KeyManager> {
  if (config.keyStorage === 'memory') return createMemoryKeyManager();
  if (config.vault === undefined) return await openDisk(config);
  const vault = await openVault(config.vault, process, bucket);
  // What was made before keys were stored there signs until it is replaced.
  const hasFormer = existsSync(keyFolder(config)) && readdirSync(keyFolder(config)).length > 0;
  return hasFormer ? joinKeyManagers(vault, await openDisk(config)) : vault;
}

async function openDisk(config: Config): Promise<KeyManager> {
  return await loadDiskKeyManager({
    folder: keyFolder(config),
    sealKeyFile: config.sealKeyFile,
    passphrase: await readPassphrase(config.sealPassphrase, env),
    random: randomBytes,
  });
}

async function openVault(
  { address, namespace, caFile, mount, keyPrefix, auth }: VaultConfig,
  { clock, closing }: Process,
  bucket: Bucket,
): Promise<KeyManager> {
  const certificateAuthorities = caFile === undefined ? undefined : await readAuthorities(caFile);
  const client = createVaultClient({ address, namespace, certificateAuthorities, clock });
  closing.defer(() => client.close());
  const login = createVaultLogin(client, auth, clock);
  const prefix = `${keyPrefix}${await loadKeyOwner(bucket, randomBytes)}-`;
  return createVaultKeyManager({ client, login, mount, prefix });
}

async function readAuthorities(file: string): Promise<string> {
  const bytes = await readFileBounded(file, MAX_CA_BYTES);
  if (bytes !== undefined) return Buffer.from(bytes).toString('latin1');
  throw new TrustplaneError('ERR_CONFIG', `server.ca.vault.caFile: ${file} does not exist`);
}
