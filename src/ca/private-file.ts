import { lstat } from 'node:fs/promises';
import { readFileBounded } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { damaged } from './sealed-key.ts';

const OTHERS = 0o077;

/**
 * Reads a file that only this process's user may read or write; undefined when there is none.
 * @throws TrustplaneError ERR_KEY_FILE_MODE, ERR_KEY_FILE_DAMAGED
 */
export async function readPrivateFile(
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw damaged(path, `cannot be read (${messageOf(error)})`, error);
  });
  if (stats === undefined) return undefined;
  if (!stats.isFile()) throw damaged(path, 'is not a regular file');
  const uid = process.geteuid?.();
  if (uid !== undefined && stats.uid !== uid) {
    throw notPrivate(path, `belongs to uid ${stats.uid}; expected uid ${uid}`);
  }
  if ((stats.mode & OTHERS) !== 0) {
    const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
    throw notPrivate(path, `has mode ${mode}; expected 0600, because others may have read it`);
  }
  try {
    return await readFileBounded(path, maxBytes);
  } catch (error) {
    throw damaged(path, `cannot be read (${messageOf(error)})`, error);
  }
}

function notPrivate(path: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_KEY_FILE_MODE', `the key file ${path} ${why}`);
}
