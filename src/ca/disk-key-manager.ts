import { createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { removeAtomicLeftovers, writeFileAtomic } from '../ops/index.ts';
import { isKeyFile, KEY_SUFFIX } from './key-file-name.ts';
import type { KeyManager, SigningKey } from './key-manager.ts';
import { keyExists } from './memory-key-manager.ts';
import { readPrivateFile } from './private-file.ts';
import { checkKeyId, createSigningKey, generatePrivateKey } from './private-key.ts';
import { readSealKeys, type ScryptCost, writeSealKeys } from './seal-key-file.ts';
import {
  damaged,
  MAX_SEALED_KEY_BYTES,
  openKeyWithAny,
  SEAL_KEY_BYTES,
  sealKey,
} from './sealed-key.ts';
import type { RandomBytes } from './serial-number.ts';

const PRIVATE = 0o600;

export interface DiskKeyManagerOptions {
  /** Holds one sealed file per key, `<key ID>.key`; made with mode 0700 when missing. */
  readonly folder: string;
  /** What seals the keys, mode 0600; made when missing, unless there are sealed keys. */
  readonly sealKeyFile: string;
  /** Seals the seal key; undefined: it stands in its file as it is. */
  readonly passphrase?: Uint8Array | undefined;
  /** Of guessing the passphrase. */
  readonly cost?: ScryptCost;
  readonly random: RandomBytes;
}

/**
 * Keys in files, sealed with AES-256-GCM. Every key is opened and checked now, so that a damaged
 * one is found at start; nothing is changed then.
 * @throws TrustplaneError ERR_KEY_FILE_DAMAGED, ERR_KEY_FILE_MODE, ERR_KEY_PASSPHRASE naming the file,
 * ERR_FILE_WRITE
 */
export async function loadDiskKeyManager(options: DiskKeyManagerOptions): Promise<KeyManager> {
  const { folder, random } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const names = (await readdir(folder)).filter((name) =>
    isKeyFile(folder, name, options.sealKeyFile),
  );
  const sealKeys = await loadSealKeys(options, names.length);
  const [seal] = sealKeys;
  const keys = new Map<string, SigningKey>();
  for (const name of names) {
    const key = await loadKey(join(folder, name), sealKeys);
    keys.set(key.keyId, key);
  }
  await removeAtomicLeftovers(folder);
  const pathOf = (keyId: string): string => join(folder, `${keyId}${KEY_SUFFIX}`);
  const inProgress = new Set<string>();

  return {
    isDurable: true,
    async generateKey(keyId, keyType) {
      checkKeyId(keyId);
      if (keys.has(keyId) || inProgress.has(keyId)) throw keyExists(keyId);
      inProgress.add(keyId);
      try {
        const privateKey = await generatePrivateKey(keyType);
        const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
        const bytes = sealKey({ keyId, keyType, pkcs8 }, seal, random);
        pkcs8.fill(0);
        await writeFileAtomic(pathOf(keyId), bytes, { mode: PRIVATE });
        const key = createSigningKey(keyId, keyType, privateKey);
        keys.set(keyId, key);
        return key;
      } finally {
        inProgress.delete(keyId);
      }
    },
    getKey: async (keyId) => keys.get(keyId),
    async deleteKey(keyId) {
      if (!keys.has(keyId)) return false;
      await rm(pathOf(keyId), { force: true });
      return keys.delete(keyId);
    },
    listKeys: async () => [...keys.keys()].sort(),
  };
}

async function loadSealKeys(
  options: DiskKeyManagerOptions,
  keyCount: number,
): Promise<readonly [Uint8Array, ...(readonly Uint8Array[])]> {
  const { sealKeyFile, passphrase, random, cost } = options;
  const [first, ...others] = (await readSealKeys(sealKeyFile, passphrase)) ?? [];
  if (first !== undefined) return [first, ...others];
  if (keyCount > 0)
    throw damaged(sealKeyFile, `is missing, but ${keyCount} keys are sealed with it`);
  const made = random(SEAL_KEY_BYTES);
  await writeSealKeys(sealKeyFile, [made], { passphrase, random, ...(cost && { cost }) });
  return [made];
}

async function loadKey(file: string, seal: readonly Uint8Array[]): Promise<SigningKey> {
  const keyId = basename(file, KEY_SUFFIX);
  const bytes = await readPrivateFile(file, MAX_SEALED_KEY_BYTES);
  if (bytes === undefined) throw damaged(file, 'vanished while it was read');
  const opened = openKeyWithAny(bytes, keyId, seal, file);
  try {
    return createSigningKey(keyId, opened.keyType, parsePrivateKey(opened.pkcs8, file));
  } finally {
    opened.pkcs8.fill(0);
  }
}

function parsePrivateKey(pkcs8: Buffer, file: string): KeyObject {
  try {
    return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  } catch (cause) {
    throw damaged(file, 'holds no private key', cause);
  }
}
