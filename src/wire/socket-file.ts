import {
  type BigIntStats,
  chmodSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

/** sockaddr_un has 108 bytes, the last one NUL. */
const MAX_PATH_BYTES = 107;

/**
 * The absolute form of a Unix socket's path.
 * @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG
 */
export function parseSocketPath(path: string): string {
  if (path === '' || path.includes('\0')) {
    throw new TrustplaneError(
      'ERR_SOCKET_PATH',
      `a socket path is a file name; got ${JSON.stringify(path)}`,
    );
  }
  const absolute = resolve(path);
  const bytes = Buffer.byteLength(absolute);
  if (bytes <= MAX_PATH_BYTES) return absolute;
  throw new TrustplaneError(
    'ERR_SOCKET_PATH_TOO_LONG',
    `the socket path ${absolute} has ${bytes} bytes; Linux allows at most ${MAX_PATH_BYTES}`,
  );
}

export interface SocketFileOptions {
  readonly path: string;
  /** Permissions of the socket, in force from the first instant. */
  readonly mode: number;
  /** Permissions of folders that have to be made. */
  readonly directoryMode: number;
  readonly backlog: number;
}

/** A socket file that this process listens on. */
export interface SocketFile {
  readonly path: string;
  /** Removes the file, if it still is the one that was made here. To be called while the server listens: until then its inode number is not given again. */
  remove(): void;
}

/**
 * Listens on a Unix socket. It is made in a private folder and then linked into place, so that it
 * never exists with other permissions and never displaces a live one: of several processes that
 * start at once exactly one gets the path.
 * @throws TrustplaneError ERR_SOCKET_PATH (not a socket, or not writable), ERR_SOCKET_PATH_TOO_LONG, ERR_SOCKET_IN_USE
 */
export async function listenOnSocketFile(
  server: Server,
  options: SocketFileOptions,
): Promise<SocketFile> {
  const path = parseSocketPath(options.path);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: options.directoryMode });
    const own = mkdtempSync(join(dirname(path), '.socket-'));
    try {
      await listenIn(own, server, options);
      return await publish(join(own, basename(own)), path, own);
    } catch (error) {
      server.close();
      throw error;
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  } catch (error) {
    if (error instanceof TrustplaneError) throw error;
    throw new TrustplaneError('ERR_SOCKET_PATH', `cannot listen on ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Binds by way of the folder's descriptor, since the folder's own path may be too long for a socket. */
async function listenIn(folder: string, server: Server, options: SocketFileOptions): Promise<void> {
  const descriptor = openSync(folder, 'r');
  try {
    await new Promise<void>((listening, failed) => {
      server.once('error', failed);
      server.listen(
        { path: `/proc/self/fd/${descriptor}/${basename(folder)}`, backlog: options.backlog },
        () => {
          server.off('error', failed);
          listening();
        },
      );
    });
    chmodSync(join(folder, basename(folder)), options.mode);
  } finally {
    closeSync(descriptor);
  }
}

/** Gives the listening socket its name; takes the name over from a socket that nobody listens on. */
async function publish(made: string, path: string, own: string): Promise<SocketFile> {
  const stale = await findStale(path);
  if (stale !== undefined) takeAway(path, stale, join(own, 'stale'));
  const { dev, ino } = lstatSync(made);
  try {
    linkSync(made, path);
  } catch (error) {
    if (isErrno(error, 'EEXIST')) throw inUse(path);
    throw error;
  }
  return { path, remove: () => removeOwn(path, dev, ino) };
}

/** @returns the file at `path` when it is a socket nobody listens on, undefined when there is none */
async function findStale(path: string): Promise<BigIntStats | undefined> {
  const found = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  if (found === undefined) return undefined;
  if (!found.isSocket()) {
    throw new TrustplaneError(
      'ERR_SOCKET_PATH',
      `${path} exists and is not a socket; it is left as it is`,
    );
  }
  const answer = await probe(path);
  if (answer === 'ENOENT') return undefined;
  if (answer !== 'ECONNREFUSED') throw inUse(path, answer);
  return found;
}

/** How the kernel answers a connect(2): an error's name, or undefined when somebody listens. */
function probe(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}

/** Takes the stale file out of the way in one step, and puts it back if it is not the one that was probed. */
function takeAway(path: string, stale: BigIntStats, aside: string): void {
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  const taken = lstatSync(aside, { bigint: true });
  // An inode number may have been given again; the time of creation tells.
  if (taken.dev === stale.dev && taken.ino === stale.ino && taken.mtimeNs === stale.mtimeNs) return;
  try {
    linkSync(aside, path);
  } catch {
    // A third one has the name by now.
  }
  throw inUse(path);
}

function removeOwn(path: string, dev: number, ino: number): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.dev === dev && found.ino === ino) unlinkSync(path);
}

function inUse(path: string, answer?: string): TrustplaneError {
  const reason = answer === undefined ? 'another process listens on it' : `it answers ${answer}`;
  return new TrustplaneError('ERR_SOCKET_IN_USE', `cannot listen on ${path}: ${reason}`);
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
