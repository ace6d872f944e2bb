import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { asUnprivileged, unprivilegedUid } from '../../test/fakes/unprivileged.ts';
import { onDisk } from '../../test/programs/on-disk.ts';
import { openDataDir } from './data-dir.ts';

const HOLDER = fileURLToPath(new URL('../../test/programs/hold-data-dir.ts', import.meta.url));
const OPENER = fileURLToPath(new URL('../../test/programs/open-data-dir.ts', import.meta.url));
const NO_MOUNTS = 'this machine does not let us mount a test disk';
const isRoot = process.geteuid?.() === 0;

let root: string;
let path: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'trustplane-dir-')));
  path = join(root, 'data');
});
afterEach(() => rmSync(root, { recursive: true }));

describe('openDataDir', () => {
  it('makes a missing directory with mode 0700, and its parents', () => {
    const dir = openDataDir(join(path, 'deep'));
    expect(dir.path).toBe(join(path, 'deep'));
    expect(lstatSync(dir.path).mode & 0o777).toBe(0o700);
    expect(readdirSync(dir.path)).toEqual(['lock']);
    expect(lstatSync(join(dir.path, 'lock')).mode & 0o777).toBe(0o600);
    dir.close();
  });

  it('opens again after a close, which may be repeated', () => {
    const first = openDataDir(path);
    first.close();
    first.close();
    const second = openDataDir(path);
    first.close();
    expect(codeOf(() => openDataDir(path))).toBe('ERR_DATA_DIR_IN_USE');
    second.close();
  });

  it('follows a link to a directory', () => {
    mkdirSync(join(root, 'disk'), { mode: 0o700 });
    symlinkSync('disk', path);
    const dir = openDataDir(path);
    expect(dir.path).toBe(join(root, 'disk'));
    dir.close();
  });

  it('names the process that holds it, and is free once that was killed', async () => {
    const holder = spawn(process.execPath, [HOLDER, path], { stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void holder.kill('SIGKILL'));
    await once(holder.stdout, 'data');
    const { ino, mtimeMs } = statSync(join(path, 'lock'));
    expect(() => openDataDir(path)).toThrow(
      `the data directory ${path} is in use by the process ${holder.pid}; stop it`,
    );
    expect(statSync(join(path, 'lock'))).toMatchObject({ ino, mtimeMs });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const dir = openDataDir(path);
    expect(dir.path).toBe(path);
    dir.close();
  });

  it('refuses a file', () => {
    writeFileSync(path, 'mine');
    expect(codeOf(() => openDataDir(path))).toBe('ERR_DATA_DIR');
    expect(codeOf(() => openDataDir(join(path, 'below')))).toBe('ERR_DATA_DIR');
    expect(() => openDataDir(path)).toThrow(path);
  });

  it('refuses a directory that others may write, and leaves it as it is', () => {
    for (const mode of [0o777, 0o770, 0o702]) {
      mkdirSync(path);
      chmodSync(path, mode);
      expect(codeOf(() => openDataDir(path))).toBe('ERR_DATA_DIR_OWNER');
      expect(() => openDataDir(path)).toThrow(`chmod 700 ${path}`);
      expect(readdirSync(path)).toEqual([]);
      expect(lstatSync(path).mode & 0o777).toBe(mode);
      rmSync(path, { recursive: true });
    }
  });

  it('takes a directory that others may read', () => {
    mkdirSync(path, { mode: 0o755 });
    const dir = openDataDir(path);
    expect(lstatSync(path).mode & 0o777).toBe(0o755);
    dir.close();
  });

  it.skipIf(!isRoot)('refuses a directory of another user', () => {
    mkdirSync(path, { mode: 0o700 });
    chownSync(path, 12_345, 12_345);
    expect(codeOf(() => openDataDir(path))).toBe('ERR_DATA_DIR_OWNER');
    expect(() => openDataDir(path)).toThrow(
      /belongs to uid 12345, but this process runs as uid 0/u,
    );
    expect(readdirSync(path)).toEqual([]);
  });

  it('refuses a directory it may not write', async () => {
    mkdirSync(path, { mode: 0o500 });
    chownSync(path, unprivilegedUid, -1);
    chmodSync(root, 0o755);
    await asUnprivileged(() => {
      expect(codeOf(() => openDataDir(path))).toBe('ERR_DATA_DIR_READ_ONLY');
      expect(codeOf(() => openDataDir(join(path, 'below')))).toBe('ERR_DATA_DIR_READ_ONLY');
    });
  });

  it('does not follow a lock that is a link', () => {
    mkdirSync(path, { mode: 0o700 });
    symlinkSync(join(root, 'victim'), join(path, 'lock'));
    expect(codeOf(() => openDataDir(path))).toBe('ERR_DATA_DIR');
    expect(existsSync(join(root, 'victim'))).toBe(false);
  });

  it('refuses a read-only file system', async ({ skip }) => {
    mkdirSync(path);
    for (const dir of [path, join(path, 'missing'), join(path, 'missing', 'deeper')]) {
      const run = await onDisk({ path, options: 'ro,mode=700' }, OPENER, [dir]);
      skip(run === undefined, NO_MOUNTS);
      expect(run?.stdout).toContain(`ERR_DATA_DIR_READ_ONLY the data directory ${dir}`);
    }
  });

  it('refuses a full file system, and leaves nothing there', async ({ skip }) => {
    mkdirSync(path);
    const run = await onDisk({ path, options: 'size=64k,mode=700' }, OPENER, [path]);
    skip(run === undefined, NO_MOUNTS);
    expect(run?.stdout).toContain('ERR_DATA_DIR_FULL');
    expect(run?.stdout).toContain('files: lock\n');
  });
});

function codeOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return 'no error';
}
