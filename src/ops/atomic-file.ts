import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';

const LEFTOVER = /^\..+\.[0-9a-f]{12}\.tmp$/u;

/**
 * Replaces the file at `path` whole: after a crash at any instant it holds the old bytes or the new,
 * and once this resolves, the new. `mode` is exact, whatever the umask. A failed write leaves
 * nothing behind.
 * @throws TrustplaneError ERR_FILE_WRITE
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array,
  options: { readonly mode: number },
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await writeNew(temporary, bytes, options.mode);
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new TrustplaneError(
      'ERR_FILE_WRITE',
      `${path} could not be written: ${messageOf(error)}; its former content is unchanged`,
      { cause: error },
    );
  }
}

/**
 * The bytes of the regular file at `path`, or undefined when there is none. Never reads more than
 * `maxBytes` + 1 bytes and never waits on a pipe or a device.
 * @throws TrustplaneError ERR_FILE_TOO_LARGE, ERR_FILE_READ
 */
export async function readFileBounded(
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) throw new Error('it is not a regular file');
    const bytes = await readUpTo(file, maxBytes + 1);
    if (bytes.length <= maxBytes) return bytes;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new TrustplaneError('ERR_FILE_READ', `${path} could not be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  throw new TrustplaneError(
    'ERR_FILE_TOO_LARGE',
    `${path} has more than ${maxBytes} bytes, the most allowed here`,
  );
}

/** Removes what interrupted calls of `writeFileAtomic` left in `folder`; returns the names. */
export async function removeAtomicLeftovers(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).filter((name) => LEFTOVER.test(name));
  await Promise.all(names.map((name) => rm(join(folder, name), { force: true })));
  return names;
}

async function writeNew(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.chmod(mode);
  await file.writeFile(bytes);
  await file.sync();
}

/** Makes what was renamed in the folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  await handle.sync();
}

async function readUpTo(file: FileHandle, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  while (total < maxBytes) {
    const chunk = Buffer.allocUnsafe(Math.min(maxBytes - total, 65_536));
    const { bytesRead } = await file.read(chunk, 0, chunk.length);
    if (bytesRead === 0) break;
    chunks.push(chunk.subarray(0, bytesRead));
    total += bytesRead;
  }
  return Buffer.concat(chunks);
}
