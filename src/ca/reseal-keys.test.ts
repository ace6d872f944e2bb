import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { describeKeyManager } from '../../test/suites/key-manager-suite.ts';
import { loadDiskKeyManager } from './disk-key-manager.ts';
import { resealKeys } from './reseal-keys.ts';

const cost = { n: 2 ** 14, r: 8, p: 1 };
const one = Buffer.from('correct horse battery staple');
const other = Buffer.from('another passphrase');

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function place() {
  const folder = mkdtempSync(join(tmpdir(), 'trustplane-reseal-'));
  folders.push(folder);
  return { folder: join(folder, 'keys'), sealKeyFile: join(folder, 'seal.key') };
}

type Place = ReturnType<typeof place>;
type Passphrase = Uint8Array | undefined;

const load = (at: Place, passphrase: Passphrase) =>
  loadDiskKeyManager({ ...at, passphrase, random: randomBytes, cost });

const reseal = (at: Place, from: Passphrase, to: Passphrase, random = randomBytes) =>
  resealKeys({ ...at, from, to, random, cost });

describeKeyManager('disk with a passphrase', async () => {
  const at = place();
  return { manager: await load(at, one), reopen: () => load(at, one) };
});

const wrongPassphrase = expect.objectContaining({ code: 'ERR_KEY_PASSPHRASE' });

describe('keys that are sealed with a passphrase', () => {
  it('open with that alone; the seal key is nowhere else', async () => {
    const at = place();
    await (await load(at, one)).generateKey('k', 'ec-p256');
    await expect(load(at, other)).rejects.toEqual(wrongPassphrase);
    await expect(load(at, undefined)).rejects.toEqual(wrongPassphrase);
    expect(await (await load(at, one)).listKeys()).toEqual(['k']);
    expect(statSync(at.sealKeyFile).mode & 0o777).toBe(0o600);
  });

  it('say that they are not sealed with one yet', async () => {
    const at = place();
    await load(at, undefined);
    await expect(load(at, one)).rejects.toEqual(wrongPassphrase);
  });

  it.each<[string, object]>([
    ['a cost that takes hours', { n: 2 ** 21 }],
    ['a cost that makes guessing cheap', { n: 2 ** 4 }],
    ['a cost that is no power of two', { n: 20_000 }],
    ['more memory', { r: 16 }],
    ['more rounds', { p: 5 }],
    ['a salt that is cut off', { salt: 'AAAA' }],
    ['another function', { kdf: 'none' }],
    ['a newer version', { version: 2 }],
  ])('are refused with %s', async (_, change) => {
    const at = place();
    await load(at, one);
    const document = JSON.parse(readFileSync(at.sealKeyFile, 'utf8'));
    writeFileSync(at.sealKeyFile, JSON.stringify({ ...document, ...change }));
    await expect(load(at, one)).rejects.toMatchObject({ code: 'ERR_KEY_FILE_DAMAGED' });
  });

  it('are refused when the cost was changed within the bounds', async () => {
    const at = place();
    await load(at, one);
    const document = JSON.parse(readFileSync(at.sealKeyFile, 'utf8'));
    writeFileSync(at.sealKeyFile, JSON.stringify({ ...document, n: 2 ** 15 }));
    await expect(load(at, one)).rejects.toEqual(wrongPassphrase);
  });
});

describe('resealing', () => {
  it.each<[string, Passphrase, Passphrase]>([
    ['from a key file to a passphrase', undefined, one],
    ['from one passphrase to another', one, other],
    ['from a passphrase to a key file', one, undefined],
    ['from a key file to another', undefined, undefined],
  ])('goes %s, with a new seal key', async (_, from, to) => {
    const at = place();
    const before = await (await load(at, from)).generateKey('k', 'ec-p256');
    const sealed = readFileSync(join(at.folder, 'k.key'));
    expect(await reseal(at, from, to)).toBe(1);
    expect(readFileSync(join(at.folder, 'k.key')).equals(sealed)).toBe(false);
    const after = await (await load(at, to)).getKey('k');
    expect(after?.publicKey).toEqual(before.publicKey);
    const isSame = from === to;
    const isRefused = await load(at, from).then(
      () => false,
      () => true,
    );
    expect(isRefused).toBe(!isSame);
  });

  it('refuses a wrong passphrase and changes nothing', async () => {
    const at = place();
    await (await load(at, one)).generateKey('k', 'ec-p256');
    const before = readFileSync(at.sealKeyFile);
    await expect(reseal(at, other, undefined)).rejects.toEqual(wrongPassphrase);
    expect(readFileSync(at.sealKeyFile).equals(before)).toBe(true);
  });

  it('ends when it is done again after a crash at any of its writes', async () => {
    const writes = 5;
    for (let crashAt = 1; crashAt <= writes; crashAt++) {
      const at = place();
      const manager = await load(at, one);
      for (const id of ['a', 'b', 'c']) await manager.generateKey(id, 'ec-p256');
      await crash(at, crashAt);
      const opened = await load(at, one).catch(() => load(at, other));
      expect(await opened.listKeys()).toEqual(['a', 'b', 'c']);
      await reseal(at, one, other);
      expect(await (await load(at, other)).listKeys()).toEqual(['a', 'b', 'c']);
      expect(readdirSync(at.folder)).toHaveLength(3);
    }
  });
});

/** Each write begins with random bytes: the call for the first of the one that is to fail throws. */
async function crash(at: Place, crashAt: number): Promise<void> {
  // The new seal key, then two for each write of the seal file, one for each key.
  const calls = [2, 4, 5, 6, 7];
  let count = 0;
  const random = (bytes: number): Uint8Array => {
    if (++count >= (calls[crashAt - 1] ?? 0)) throw new Error('crash');
    return randomBytes(bytes);
  };
  await expect(resealKeys({ ...at, from: one, to: other, random, cost })).rejects.toThrow('crash');
}
