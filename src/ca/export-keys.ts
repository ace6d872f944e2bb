import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeFileAtomic } from '../ops/index.ts';
import { loadDiskKeyManager } from './disk-key-manager.ts';
import { isKeyFile, KEY_SUFFIX } from './key-file-name.ts';
import { readPrivateFile } from './private-file.ts';
import type { ResealOptions } from './reseal-keys.ts';
import { buildSealKeys, readSealKeys, writeSealKeys } from './seal-key-file.ts';
import { damaged, MAX_SEALED_KEY_BYTES } from './sealed-key.ts';

const PRIVATE = 0o600;

/** Private keys as they are sealed, and what opens them, sealed with a passphrase. */
export interface ExportedKeys {
  readonly sealKey: Uint8Array;
  /** By key ID. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** The IDs of the keys in a folder, which need not exist. */
export async function readKeyIds(folder: string): Promise<ReadonlySet<string>> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  const files = names.filter((name) => name.endsWith(KEY_SUFFIX));
  return new Set(files.map((name) => basename(name, KEY_SUFFIX)));
}

/** @throws TrustplaneError ERR_KEY_FILE_DAMAGED, ERR_KEY_FILE_MODE, ERR_KEY_PASSPHRASE */
export async function exportKeys(options: ResealOptions): Promise<ExportedKeys> {
  const { folder, sealKeyFile, from, to: passphrase, random, cost } = options;
  const files = new Map<string, Uint8Array>();
  for (const name of await readdir(folder)) {
    if (!isKeyFile(folder, name, sealKeyFile)) continue;
    const bytes = await readPrivateFile(join(folder, name), MAX_SEALED_KEY_BYTES);
    // A rotation may have ended it meanwhile.
    if (bytes !== undefined) files.set(basename(name, KEY_SUFFIX), bytes);
  }
  const keys = await readSealKeys(sealKeyFile, from);
  if (keys === undefined) throw damaged(sealKeyFile, 'is missing');
  const sealKey = await buildSealKeys(keys, { passphrase, random, ...(cost && { cost }) });
  return { sealKey, files };
}

/**
 * Puts exported keys, which `from` opens, into a folder that does not exist yet; each was opened then. The seal key is
 * sealed with `to`.
 * @throws TrustplaneError ERR_KEY_FILE_DAMAGED, ERR_KEY_PASSPHRASE, ERR_FILE_WRITE
 */
export async function importKeys(
  { sealKey, files }: ExportedKeys,
  { folder, sealKeyFile, from, to: passphrase, random, cost }: ResealOptions,
): Promise<void> {
  await mkdir(folder, { mode: 0o700 });
  for (const [keyId, bytes] of files) {
    await writeFileAtomic(join(folder, `${keyId}${KEY_SUFFIX}`), bytes, { mode: PRIVATE });
  }
  await writeFileAtomic(sealKeyFile, sealKey, { mode: PRIVATE });
  const keys = await readSealKeys(sealKeyFile, from);
  if (keys === undefined) throw damaged(sealKeyFile, 'vanished while it was read');
  await writeSealKeys(sealKeyFile, keys, { passphrase, random, ...(cost && { cost }) });
  await loadDiskKeyManager({ folder, sealKeyFile, passphrase, random });
}
