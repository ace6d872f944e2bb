import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import type Koffi from 'koffi';
import { readStartTime } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';

/** Effective credentials of the process that called connect(2). */
export interface SocketCredentials {
  /** 0 when the process lives in a PID namespace that this one cannot see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** What the kernel tells of sockets and processes. */
export interface Kernel {
  /** SO_PEERCRED. */
  peerCredentials(socket: number): SocketCredentials;
  /**
   * SO_PEERPIDFD: a descriptor of the connecting process itself; undefined on kernels before 6.5.
   * @throws TrustplaneError ERR_PEER_GONE when it was reaped (kernels from 6.16 on give a descriptor even then)
   */
  peerPidfd(socket: number): number | undefined;
  /**
   * pidfd_open(2): a descriptor of the process that has this pid now.
   * @throws TrustplaneError ERR_PEER_GONE when none has
   */
  openPidfd(pid: number): number;
  /** True while the process behind the descriptor has not exited. */
  isPidfdAlive(pidfd: number): boolean;
  /** When the process with this pid started; undefined when there is none. */
  startTime(pid: number): string | undefined;
  /** Closes a pidfd. */
  close(pidfd: number): void;
  /** Reads bytes that wait on a socket and leaves them there (MSG_PEEK); -1 when there are none. */
  peek(socket: number, into: Uint8Array): number;
}

interface Symbols {
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Buffer): number;
  poll(fds: Buffer, count: number, timeoutMs: number): number;
  recv(fd: number, into: Uint8Array, length: number, flags: number): number;
  pidfdOpen(number: number, pid: number, flags: number): number;
  errno(): number;
}

/** asm-generic numbers: x86-64, arm64, riscv64, s390x. The self-test at start would notice others. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERPIDFD = 77;
const SYS_PIDFD_OPEN = 434;
const POLLIN = 1;
const MSG_PEEK_DONTWAIT = 0x42;
/** How kernels before 6.16 say that the process was reaped. */
const REAPED = new Set(['ESRCH', 'EINVAL']);

const value = Buffer.alloc(12);
const valueLength = Buffer.alloc(4);
const pollEntry = Buffer.alloc(8);
let bound: Symbols | undefined;

/** The kernel of this machine. Calls take about a microsecond; none blocks. */
export const linuxKernel: Kernel = {
  peerCredentials(socket) {
    readOption(socket, 'SO_PEERCRED', SO_PEERCRED, 12);
    return {
      pid: value.readInt32LE(0),
      uid: value.readUInt32LE(4),
      gid: value.readUInt32LE(8),
    };
  },

  peerPidfd(socket) {
    const failure = tryOption(socket, SO_PEERPIDFD, 4);
    if (failure === undefined) return value.readInt32LE(0);
    if (failure === 'ENOPROTOOPT') return undefined;
    throw refused('SO_PEERPIDFD', failure);
  },

  openPidfd(pid) {
    const pidfd = symbols().pidfdOpen(SYS_PIDFD_OPEN, pid, 0);
    if (pidfd < 0) throw refused('pidfd_open', errnoName());
    return pidfd;
  },

  isPidfdAlive(pidfd) {
    pollEntry.writeInt32LE(pidfd, 0);
    pollEntry.writeInt32LE(POLLIN, 4);
    return pollNow() === 0;
  },

  startTime(pid) {
    try {
      return readStartTime(pid);
    } catch (error) {
      if (error instanceof TrustplaneError) throw error;
      return undefined;
    }
  },

  close: closeSync,

  peek: (socket, into) => symbols().recv(socket, into, into.length, MSG_PEEK_DONTWAIT),
};

function readOption(socket: number, name: string, option: number, bytes: number): void {
  const failure = tryOption(socket, option, bytes);
  if (failure !== undefined) throw refused(name, failure);
}

/** Fills `value`; answers the name of the error, or undefined. */
function tryOption(socket: number, option: number, bytes: number): string | undefined {
  valueLength.writeInt32LE(bytes);
  const result = symbols().getsockopt(socket, SOL_SOCKET, option, value, valueLength);
  if (result !== 0) return errnoName();
  return valueLength.readInt32LE() === bytes ? undefined : 'EMSGSIZE';
}

function refused(call: string, failure: string): TrustplaneError {
  const code = REAPED.has(failure) ? 'ERR_PEER_GONE' : 'ERR_PEER_UNKNOWN';
  return new TrustplaneError(code, `${call} on a Unix socket failed with ${failure}`);
}

/** poll(2) without waiting; a signal that arrives meanwhile says nothing about the process. */
function pollNow(): number {
  for (;;) {
    const ready = symbols().poll(pollEntry, 1, 0);
    if (ready >= 0) return ready;
    const failure = errnoName();
    if (failure !== 'EINTR') {
      throw new TrustplaneError('ERR_PEER_UNKNOWN', `poll on a pidfd failed with ${failure}`);
    }
  }
}

function errnoName(): string {
  const number = symbols().errno();
  try {
    return getSystemErrorName(-number);
  } catch {
    return `errno ${number}`;
  }
}

/** Bound at the first use, so that a command that only dials does not load the native binding. */
function symbols(): Symbols {
  if (bound !== undefined) return bound;
  const koffi: typeof Koffi = createRequire(import.meta.url)('koffi');
  const libc = koffi.load(null);
  bound = {
    getsockopt: libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
    poll: libc.func('int poll(void *fds, unsigned long count, int timeoutMs)'),
    recv: libc.func('long recv(int fd, void *into, size_t length, int flags)'),
    pidfdOpen: libc.func('long syscall(long number, int pid, unsigned int flags)'),
    errno: () => koffi.errno(),
  };
  return bound;
}
