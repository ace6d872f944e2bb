import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
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
import { isDeepStrictEqual } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { describeKeyManager } from '../../test/suites/key-manager-suite.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { loadDiskKeyManager } from './disk-key-manager.ts';
import { joinKeyManagers } from './joined-key-manager.ts';
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

describeKeyManager('disk, and memory before it', async () => {
  const folder = newFolder();
  const former = createMemoryKeyManager();
  const open = async () => joinKeyManagers(await load(folder), former);
  return { manager: await open(), reopen: open };
});

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

describe('keys that were made elsewhere before', () => {
  it('sign and are deleted there; new ones are made here', async () => {
    const former = createMemoryKeyManager();
    const current = createMemoryKeyManager();
    const old = await former.generateKey('old', 'ec-p256');
    const manager = joinKeyManagers(current, former);
    await manager.generateKey('new', 'ec-p256');
    expect(await manager.listKeys()).toEqual(['new', 'old']);
    expect(await current.listKeys()).toEqual(['new']);
    expect(await manager.getKey('old')).toBe(old);
    expect(await manager.deleteKey('old')).toBe(true);
    expect(await former.listKeys()).toEqual([]);
  });
});

describe('disk key manager', () => {
  async function withOneKey() {
    const folder = newFolder();
    await (await load(folder)).generateKey('k1', 'ec-p256');
    return { folder, file: join(folder, 'keys', 'k1.key'), seal: join(folder, 'seal.key') };
  }

  /** How a load of what cannot be used ends. */
  async function refusal(folder: string) {
    const before = contents(folder);
    const error: unknown = await load(folder).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    const isUntouched = isDeepStrictEqual(contents(folder), before);
    if (!(error instanceof TrustplaneError)) return { isUntouched };
    return { code: error.code, message: error.message, isUntouched };
  }

  const refused = (code: string, file: string) => ({
    code,
    message: expect.stringContaining(file),
    isUntouched: true,
  });

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
      // White space around JSON may change; then the key is the same.
      const loaded = await load(folder).catch(() => undefined);
      const found = await loaded?.getKey('k1');
      expect(found?.publicKey ?? publicKey).toEqual(publicKey);
      expect(loaded === undefined ? await refusal(folder) : refused('', '')).toEqual(
        loaded === undefined ? refused('ERR_KEY_FILE_DAMAGED', file) : refused('', ''),
      );
    }
  });

  it.each([0, 1, 100])('refuses a key file cut to %d bytes', async (length) => {
    const { folder, file } = await withOneKey();
    writeFileSync(file, readFileSync(file).subarray(0, length));
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_DAMAGED', file));
  });

  it('refuses a key file under another name', async () => {
    const { folder, file } = await withOneKey();
    const other = join(folder, 'keys', 'k2.key');
    writeFileSync(other, readFileSync(file), { mode: 0o600 });
    expect(await refusal(folder)).toEqual(
      refused('ERR_KEY_FILE_DAMAGED', `${other} is of the key "k1"`),
    );
  });

  it('refuses a key file that others may read', async () => {
    const { folder, file } = await withOneKey();
    chmodSync(file, 0o640);
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_MODE', file));
  });

  it('refuses a symbolic link', async () => {
    const { folder, file } = await withOneKey();
    const link = join(folder, 'keys', 'k2.key');
    symlinkSync(file, link);
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_DAMAGED', link));
  });

  it('refuses a seal key that others may read, is damaged, is another or is missing', async () => {
    const { folder, file, seal } = await withOneKey();
    const good = readFileSync(seal);
    chmodSync(seal, 0o604);
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_MODE', seal));
    chmodSync(seal, 0o600);
    writeFileSync(seal, good.subarray(1));
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_DAMAGED', seal));
    writeFileSync(seal, randomBytes(32));
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_DAMAGED', file));
    rmSync(seal);
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_DAMAGED', seal));
    writeFileSync(seal, good, { mode: 0o600 });
    expect(await (await load(folder)).listKeys()).toEqual(['k1']);
  });

  it('does not hold the private key in the clear, nor name anything of it in an error', async () => {
    const { folder, file, seal } = await withOneKey();
    expect(readFileSync(file, 'utf8')).not.toMatch(/PRIVATE|MIGHAgEAMBMG/);
    writeFileSync(seal, randomBytes(32));
    const sealed = /"sealed": "(.{12})/u.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
    const { message } = await refusal(folder);
    expect(message).toBeDefined();
    expect(message).not.toContain(sealed);
  });

  it.runIf(process.geteuid?.() === 0)('refuses a key file of another user', async () => {
    const { folder, file } = await withOneKey();
    chownSync(file, 65_534, 65_534);
    expect(await refusal(folder)).toEqual(refused('ERR_KEY_FILE_MODE', file));
  });

  it('removes what a killed write left behind', async () => {
    const { folder } = await withOneKey();
    const leftover = join(folder, 'keys', '.k2.key.0123456789ab.tmp');
    writeFileSync(leftover, 'half', { mode: 0o600 });
    await load(folder);
    expect(readdirSync(join(folder, 'keys'))).toEqual(['k1.key']);
  });
});
