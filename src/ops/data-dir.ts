import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import { tryLockFile } from './file-lock.ts';

/** Room that must be there at start, so that the first writes do not fail. */
const PROBE_BYTES = 256 * 1024;
const OTHERS_MAY_WRITE = 0o022;

/** A data directory this process holds alone until `close`, or until it dies in whatever way. */
export interface DataDir {
  /** Absolute, links resolved. */
  readonly path: string;
  close(): void;
}

/**
 * Opens the data directory at `path`, making it (0700) when it is missing. It must be a directory
 * of this process's user that nobody else may write, be writable with some room left, and be held
 * by no other process (flock on `<path>/lock`). A failed open changes nothing that was there.
 * @param mayBeFull for who can go on with what is there; default false
 * @throws TrustplaneError ERR_DATA_DIR, ERR_DATA_DIR_OWNER, ERR_DATA_DIR_IN_USE,
 * ERR_DATA_DIR_READ_ONLY, ERR_DATA_DIR_FULL
 */
export function openDataDir(path: string, mayBeFull: boolean = false): DataDir {
  const named = resolve(path);
  const absolute = attempt(named, () => createDir(named));
  checkOwner(
    absolute,
    attempt(absolute, () => statSync(absolute)),
  );
  const lock = attempt(absolute, () => lockDir(absolute));
  try {
    attempt(absolute, () => probe(absolute));
    attempt(absolute, () => writeSync(lock, `${process.pid}\n`.padEnd(11), 0));
  } catch (error) {
    const isFull = error instanceof TrustplaneError && error.code === 'ERR_DATA_DIR_FULL';
    if (isFull && mayBeFull) return held(absolute, lock);
    closeSync(lock);
    throw error;
  }
  return held(absolute, lock);
}

function held(path: string, lock: number): DataDir {
  let isOpen = true;
  return {
    path,
    close() {
      if (isOpen) closeSync(lock);
      isOpen = false;
    },
  };
}

/** Makes the directory and its parents unless they are there; its real path. */
function createDir(path: string): string {
  try {
    if (!existsSync(path)) mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!isMissing(error) || dirname(path) === path) throw error;
    createDir(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
  return realpathSync(path);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function checkOwner(path: string, stats: Stats): void {
  if (!stats.isDirectory()) {
    throw new TrustplaneError(
      'ERR_DATA_DIR',
      `the data directory ${path} is not a directory; name a directory`,
    );
  }
  const uid = process.geteuid?.();
  if (uid !== undefined && stats.uid !== uid) {
    throw new TrustplaneError(
      'ERR_DATA_DIR_OWNER',
      `the data directory ${path} belongs to uid ${stats.uid}, but this process runs as uid ${uid}; run as that user, or "chown ${uid} ${path}"`,
    );
  }
  if ((stats.mode & OTHERS_MAY_WRITE) !== 0) {
    throw new TrustplaneError(
      'ERR_DATA_DIR_OWNER',
      `the data directory ${path} has mode ${(stats.mode & 0o7777).toString(8)}, which lets other users write to it; expected 700: "chmod 700 ${path}"`,
    );
  }
}

/** The descriptor that holds the lock. */
function lockDir(path: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const lock = openSync(join(path, 'lock'), flags, 0o600);
  try {
    if (tryLockFile(lock)) return lock;
    const holder = readFileSync(lock, 'utf8').slice(0, 11).trim();
    const who = /^\d+$/u.test(holder) ? `the process ${holder}` : 'another process';
    throw new TrustplaneError(
      'ERR_DATA_DIR_IN_USE',
      `the data directory ${path} is in use by ${who}; stop it, or choose another directory with --data-dir`,
    );
  } catch (error) {
    closeSync(lock);
    throw error;
  }
}

/** Shows that a file with content can be made here. */
function probe(path: string): void {
  const file = join(path, '.probe.tmp');
  try {
    writeFileSync(file, Buffer.alloc(PROBE_BYTES), { mode: 0o600 });
  } finally {
    rmSync(file, { force: true });
  }
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof TrustplaneError ? error : dataDirError(path, error);
  }
}

/** The system's refusal as one of ours. */
function dataDirError(path: string, error: unknown): TrustplaneError {
  const where = `the data directory ${path}`;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const options = { cause: error };
  switch (code) {
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new TrustplaneError(
        'ERR_DATA_DIR_READ_ONLY',
        `${where} cannot be written (${messageOf(error)}); make it writable for this user, or choose another with --data-dir`,
        options,
      );
    case 'ENOSPC':
    case 'EDQUOT':
      return new TrustplaneError(
        'ERR_DATA_DIR_FULL',
        `${where} has no room left (${messageOf(error)}); free at least ${PROBE_BYTES / 1024} KiB there, or choose another with --data-dir`,
        options,
      );
    default:
      return new TrustplaneError(
        'ERR_DATA_DIR',
        `${where} cannot be used: ${messageOf(error)}; choose another with --data-dir`,
        options,
      );
  }
}
