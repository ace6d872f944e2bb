import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import type Koffi from 'koffi';

const LOCK_EXCLUSIVE = 2;
const LOCK_NON_BLOCKING = 4;

/**
 * Takes flock(2) on an open file, exclusively and without waiting; false when another open file
 * description holds it. The kernel frees it when the descriptor is closed, however the process ends.
 */
export function tryLockFile(descriptor: number): boolean {
  // Loaded here, so that commands which lock nothing do not pay for the native binding.
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const flock = koffi.load(null).func('int flock(int fd, int operation)');
  if (flock(descriptor, LOCK_EXCLUSIVE | LOCK_NON_BLOCKING) === 0) return true;
  const code = errnoName(koffi.errno());
  if (code === 'EAGAIN') return false;
  throw new Error(`flock failed with ${code}; the file system must support it`);
}

function errnoName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}
