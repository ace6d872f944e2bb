import { closeSync, openSync, readSync } from 'node:fs';
import { TrustplaneError } from '../../spiffe/index.ts';

/** A status with 65,536 supplementary groups (the kernel's limit) of ten digits, and the rest. */
const MAX_BYTES = 1024 * 1024;

let buffer = Buffer.allocUnsafeSlow(16 * 1024);

/**
 * /proc/<pid>/status. Reading it takes 20 microseconds and cannot block, less than a thread's
 * round trip.
 * @throws an ENOENT or ESRCH error when there is no such process
 */
export function readProcStatus(pid: number): string {
  return readProcFile(`/proc/${pid}/status`);
}

/**
 * /proc/<pid>/cgroup, as it is seen from this process's cgroup namespace, whatever the other's is.
 * @throws an ENOENT or ESRCH error when there is no such process
 */
export function readProcCgroup(pid: number | 'self'): string {
  return readProcFile(`/proc/${pid}/cgroup`);
}

function readProcFile(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    let length = 0;
    for (;;) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, null);
      length += read;
      if (read === 0) return buffer.toString('latin1', 0, length);
      if (length === buffer.length) grow(path);
    }
  } finally {
    closeSync(descriptor);
  }
}

function grow(path: string): void {
  if (buffer.length >= MAX_BYTES)
    throw new TrustplaneError('ERR_ATTEST_PROC', `${path} has more than ${MAX_BYTES} bytes`);
  const larger = Buffer.allocUnsafeSlow(buffer.length * 4);
  buffer.copy(larger);
  buffer = larger;
}

/** True for the errors by which the kernel says that a process has gone. */
export function isGone(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')
  );
}
