import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { describeKeyManager } from '../../test/suites/key-manager-suite.ts';
import { loadDiskKeyManager } from './disk-key-manager.ts';
import { createMemoryKeyManager } from './memory-key-manager.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'trustplane-keys-'));
  folders.push(folder);
  return folder;
}

const load = (folder: string) =>
  loadDiskKeyManager({
    folder: join(folder, 'keys'),
    sealKeyFile: join(folder, 'seal.key'),
    random: randomBytes,
  });

describeKeyManager('memory', async () => ({
  manager: createMemoryKeyManager(),
  reopen: async () => createMemoryKeyManager(),
}));

describeKeyManager('disk', async () => {
  const folder = newFolder();
  return { manager: await load(folder), reopen: () => load(folder) };
});

/** Every file below the folder with its mode and content. */
function contents(folder: string): [string, number, string][] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => [file, statSync(file).mode, readFileSync(file, 'hex')]);
}

describe('disk key manager', () => {
  async function withOneKey() {
    const folder = newFolder();
    await (await load(folder)).generateKey('k1', 'ec-p256');
    return { folder, file: join(folder, 'keys', 'k1.key'), seal: join(folder, 'seal.key') };
  }

  async function expectRefused(folder: string, file: string, code: string): Promise<void> {
    const before = contents(folder);
    const refusal = load(folder);
    await expect(refusal).rejects.toMatchObject({ code });
    await expect(refusal).rejects.toThrow(file);
    expect(contents(folder)).toEqual(before);
  }

  it('writes sealed files of mode 0600 in a folder of mode 0700, whatever the umask', async () => {
    const umask = process.umask(0);
    try {
      const { folder, file, seal } = await withOneKey();
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(statSync(seal).mode & 0o777).toBe(0o600);
      expect(statSync(join(folder, 'keys')).mode & 0o777).toBe(0o700);
    } finally {
      process.umask(umask);
    }
  });

  it('refuses a key file with any one byte changed, naming it, and touches nothing', async () => {
    const { folder, file } = await withOneKey();
    const good = readFileSync(file);
    const manager = await load(folder);
    const publicKey = (await manager.getKey('k1'))?.publicKey;
    for (let at = 0; at < good.length; at += 3) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x10;
      writeFileSync(file, bad);
      const outcome = await load(folder).then(
        async (loaded) => (await loaded.getKey('k1'))?.publicKey,
        (error: unknown) => error,
      );
      // JSON white space may change; nothing else may.
      if (outcome instanceof Error) {
        expect(outcome).toMatchObject({ code: 'ERR_KEY_FILE_DAMAGED' });
        expect(outcome.message).toContain(file);
      } else expect(outcome).toEqual(publicKey);
      expect(readFileSync(file).equals(bad)).toBe(true);
    }
  });

  it.each([0, 1, 100])('refuses a key file cut to %d bytes', async (length) => {
    const { folder, file } = await withOneKey();
    writeFileSync(file, readFileSync(file).subarray(0, length));
    await expectRefused(folder, file, 'ERR_KEY_FILE_DAMAGED');
  });

  it('refuses a key file under another name', async () => {
    const { folder, file } = await withOneKey();
    const other = join(folder, 'keys', 'k2.key');
    writeFileSync(other, readFileSync(file), { mode: 0o600 });
    await expectRefused(folder, other, 'ERR_KEY_FILE_DAMAGED');
  });

  it('refuses a key file that others may read', async () => {
    const { folder, file } = await withOneKey();
    chmodSync(file, 0o640);
    await expectRefused(folder, file, 'ERR_KEY_FILE_MODE');
  });

  it('refuses a symbolic link', async () => {
    const { folder, file } = await withOneKey();
    const link = join(folder, 'keys', 'k2.key');
    symlinkSync(file, link);
    await expectRefused(folder, link, 'ERR_KEY_FILE_DAMAGED');
  });

  it('refuses a seal key that others may read, is damaged, is another or is missing', async () => {
    const { folder, file, seal } = await withOneKey();
    const good = readFileSync(seal);
    chmodSync(seal, 0o604);
    await expectRefused(folder, seal, 'ERR_KEY_FILE_MODE');
    chmodSync(seal, 0o600);
    writeFileSync(seal, good.subarray(1));
    await expectRefused(folder, seal, 'ERR_KEY_FILE_DAMAGED');
    writeFileSync(seal, randomBytes(32));
    await expectRefused(folder, file, 'ERR_KEY_FILE_DAMAGED');
    rmSync(seal);
    await expectRefused(folder, seal, 'ERR_KEY_FILE_DAMAGED');
    writeFileSync(seal, good, { mode: 0o600 });
    expect(await (await load(folder)).listKeys()).toEqual(['k1']);
  });

  it('does not hold the private key in the clear, nor name anything of it in an error', async () => {
    const { folder, file, seal } = await withOneKey();
    expect(readFileSync(file, 'utf8')).not.toMatch(/PRIVATE|MIGHAgEAMBMG/);
    writeFileSync(seal, randomBytes(32));
    const sealed = JSON.parse(readFileSync(file, 'utf8')).sealed as string;
    await expect(load(folder)).rejects.not.toThrow(sealed.slice(0, 12));
  });

  it.runIf(process.geteuid?.() === 0)('refuses a key file of another user', async () => {
    const { folder, file } = await withOneKey();
    const { chownSync } = await import('node:fs');
    chownSync(file, 65_534, 65_534);
    await expectRefused(folder, file, 'ERR_KEY_FILE_MODE');
  });

  it('removes what a killed write left behind', async () => {
    const { folder } = await withOneKey();
    const leftover = join(folder, 'keys', '.k2.key.0123456789ab.tmp');
    writeFileSync(leftover, 'half', { mode: 0o600 });
    await load(folder);
    expect(readdirSync(join(folder, 'keys'))).toEqual(['k1.key']);
  });
});
