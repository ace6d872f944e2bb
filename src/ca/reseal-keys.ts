import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeFileAtomic } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { isKeyFile, KEY_SUFFIX } from './key-file-name.ts';
import { readPrivateFile } from './private-file.ts';
import { readSealKeys, type ScryptCost, writeSealKeys } from './seal-key-file.ts';
import {
  damaged,
  MAX_SEALED_KEY_BYTES,
  openKeyWithAny,
  SEAL_KEY_BYTES,
  sealKey,
} from './sealed-key.ts';
import type { RandomBytes } from './serial-number.ts';

export interface ResealOptions {
  readonly folder: string;
  readonly sealKeyFile: string;
  /** Undefined for none. */
  readonly from: Uint8Array | undefined;
  /** Undefined for none. */
  readonly to: Uint8Array | undefined;
  readonly random: RandomBytes;
  readonly cost?: ScryptCost;
}

/**
 * Seals all private keys anew with a new key, which is sealed with another passphrase, or none. No
 * other process may use them meanwhile. After a crash at any instant the keys open with the one
 * passphrase or the other, and doing it again ends it.
 * @returns how many keys there are
 * @throws TrustplaneError ERR_KEY_FILE_DAMAGED, ERR_KEY_FILE_MODE, ERR_KEY_PASSPHRASE, ERR_FILE_WRITE
 */
export async function resealKeys(options: ResealOptions): Promise<number> {
  const { folder, sealKeyFile, random, to, cost } = options;
  const write = (keys: readonly Uint8Array[]): Promise<void> =>
    writeSealKeys(sealKeyFile, keys, { passphrase: to, random, ...(cost && { cost }) });
  const known = await readEither(options);
  // Two: it was begun before.
  const [next, ...former] = known.length > 1 ? known : [random(SEAL_KEY_BYTES), ...known];
  if (next === undefined) throw damaged(sealKeyFile, 'holds no key');
  await write([next, ...former]);
  const names = (await readdir(folder)).filter((name) => isKeyFile(folder, name, sealKeyFile));
  for (const name of names) await resealFile(join(folder, name), [next, ...former], random);
  await write([next]);
  return names.length;
}

async function readEither(options: ResealOptions): Promise<readonly Uint8Array[]> {
  const { sealKeyFile, from, to } = options;
  const read = async (passphrase: Uint8Array | undefined): Promise<readonly Uint8Array[]> => {
    const keys = await readSealKeys(sealKeyFile, passphrase);
    if (keys !== undefined) return keys;
    throw damaged(sealKeyFile, 'is missing');
  };
  try {
    return await read(from);
  } catch (error) {
    if (!(error instanceof TrustplaneError) || error.code !== 'ERR_KEY_PASSPHRASE') throw error;
    return await read(to).catch(() => {
      throw error;
    });
  }
}

async function resealFile(
  file: string,
  keys: readonly Uint8Array[],
  random: RandomBytes,
): Promise<void> {
  const keyId = basename(file, KEY_SUFFIX);
  const bytes = await readPrivateFile(file, MAX_SEALED_KEY_BYTES);
  if (bytes === undefined) throw damaged(file, 'vanished while it was read');
  const opened = openKeyWithAny(bytes, keyId, keys, file);
  try {
    const [next = new Uint8Array()] = keys;
    await writeFileAtomic(file, sealKey({ ...opened, keyId }, next, random), { mode: 0o600 });
  } finally {
    opened.pkcs8.fill(0);
  }
}
