import {
  chmodSync,
  mkdirSync,
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
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asUnprivileged } from '../../test/fakes/unprivileged.ts';
import { readFileBounded, removeAtomicLeftovers, writeFileAtomic } from './atomic-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'trustplane-file-'));
  path = join(folder, 'key.pem');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('writeFileAtomic', () => {
  it('makes and replaces a file, with the exact mode whatever the umask', async () => {
    const umask = process.umask(0o077);
    try {
      await writeFileAtomic(path, Buffer.from('first'), { mode: 0o644 });
      expect(statSync(path).mode & 0o7777).toBe(0o644);
      await writeFileAtomic(path, Buffer.from('second'), { mode: 0o600 });
      expect(statSync(path).mode & 0o7777).toBe(0o600);
    } finally {
      process.umask(umask);
    }
    expect(readFileSync(path, 'utf8')).toBe('second');
    expect(readdirSync(folder)).toEqual(['key.pem']);
  });

  it('replaces a link, not what it leads to', async () => {
    writeFileSync(join(folder, 'other'), 'theirs');
    symlinkSync('other', path);
    await writeFileAtomic(path, Buffer.from('ours'), { mode: 0o600 });
    expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('theirs');
    expect(readFileSync(path, 'utf8')).toBe('ours');
  });

  it('never shows a reader anything but the old or the new whole', async () => {
    const contents = [Buffer.alloc(300_000, 'a'), Buffer.alloc(200_000, 'b')];
    await writeFileAtomic(path, contents[0] ?? Buffer.alloc(0), { mode: 0o600 });
    const writes = (async () => {
      for (let i = 0; i < 40; i++) {
        await writeFileAtomic(path, contents[i % 2] ?? Buffer.alloc(0), { mode: 0o600 });
      }
      return 'done';
    })();
    let state = '';
    while (state !== 'done') {
      const seen = readFileSync(path);
      expect(contents.some((content) => content.equals(seen))).toBe(true);
      state = await Promise.race([writes, new Promise<string>((next) => setImmediate(next, ''))]);
    }
  });

  it('leaves the old content and nothing else when it fails, and says where', async () => {
    mkdirSync(path);
    writeFileSync(join(path, 'inside'), 'kept');
    await expect(writeFileAtomic(path, Buffer.from('x'), { mode: 0o600 })).rejects.toMatchObject({
      code: 'ERR_FILE_WRITE',
      message: expect.stringContaining(path),
    });
    expect(readdirSync(folder)).toEqual(['key.pem']);
    expect(readFileSync(join(path, 'inside'), 'utf8')).toBe('kept');
    const nowhere = join(folder, 'missing', 'key.pem');
    await expect(writeFileAtomic(nowhere, Buffer.from('x'), { mode: 0o600 })).rejects.toMatchObject(
      {
        code: 'ERR_FILE_WRITE',
      },
    );
  });
});

describe('removeAtomicLeftovers', () => {
  it('removes what a killed write left, and nothing else', async () => {
    const names = ['.key.pem.0123456789ab.tmp', 'key.pem', '.hidden', 'a.tmp', '.key.pem.xyz.tmp'];
    for (const name of names) writeFileSync(join(folder, name), '');
    expect(await removeAtomicLeftovers(folder)).toEqual(['.key.pem.0123456789ab.tmp']);
    expect(readdirSync(folder).sort()).toEqual(['.hidden', '.key.pem.xyz.tmp', 'a.tmp', 'key.pem']);
  });
});

describe('readFileBounded', () => {
  it('reads up to the bound and refuses more', async () => {
    for (const size of [0, 1, 65_536, 65_537, 200_000]) {
      writeFileSync(path, Buffer.alloc(size, 'x'));
      expect((await readFileBounded(path, 200_000))?.length).toBe(size);
    }
    await expect(readFileBounded(path, 199_999)).rejects.toMatchObject({
      code: 'ERR_FILE_TOO_LARGE',
      message: `${path} has more than 199999 bytes, the most allowed here`,
    });
  });

  it('gives undefined where there is nothing', async () => {
    expect(await readFileBounded(path, 10)).toBeUndefined();
  });

  it('refuses what is no regular file, without waiting for it', async () => {
    await expect(readFileBounded(folder, 10)).rejects.toMatchObject({ code: 'ERR_FILE_READ' });
    await expect(readFileBounded('/dev/zero', 10)).rejects.toThrow(/not a regular file/u);
  });

  it('says that it may not', async () => {
    writeFileSync(path, 'x');
    chmodSync(path, 0);
    await asUnprivileged(async () => {
      await expect(readFileBounded(path, 10)).rejects.toMatchObject({ code: 'ERR_FILE_READ' });
    });
  });
});
