import { TrustplaneError } from '../spiffe/index.ts';
import type { Kernel, SocketCredentials } from './libc.ts';
import type { PeerProcess } from './peer-process.ts';

/**
 * The processes that have connections to this one: one object and one pidfd each, however many
 * connections there are.
 */
export class ProcessTable {
  readonly #kernel: Kernel;
  readonly #byKey = new Map<string, Entry>();
  /** The newest process with a pid and credentials. */
  readonly #newest = new Map<string, Entry>();
  #serial = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** How many processes are held. */
  get size(): number {
    return this.#byKey.size;
  }

  /**
   * Names the process that connected this accepted socket, and counts one connection for it.
   * @returns the key for `get` and `release`
   * @throws TrustplaneError ERR_PEER_UNKNOWN, ERR_PEER_GONE (it connected and has exited since)
   */
  acquire(socket: number): string {
    const credentials = this.#kernel.peerCredentials(socket);
    requirePid(credentials);
    const pidfd = this.#kernel.peerPidfd(socket) ?? this.#kernel.openPidfd(credentials.pid);
    let kept = false;
    try {
      const known = this.#find(credentials);
      const entry = known ?? this.#describe(credentials, pidfd);
      // This comes last. The connecting process lives now, so it lived all the while, and no other
      // process had its pid: what was found or read above under that pid is its own.
      if (!this.#kernel.isPidfdAlive(pidfd)) throw gone(credentials.pid);
      if (known === undefined) {
        this.#add(entry);
        kept = true;
      }
      entry.connections += 1;
      return entry.key;
    } finally {
      if (!kept) this.#kernel.close(pidfd);
    }
  }

  get(key: string): PeerProcess | undefined {
    return this.#byKey.get(key);
  }

  /** Those that have, or had, this pid and have connections open. */
  withPid(pid: number): readonly PeerProcess[] {
    return [...this.#byKey.values()].filter((entry) => entry.pid === pid);
  }

  /** Counts one connection less; after the last one the pidfd is given back. */
  release(key: string): void {
    const entry = this.#byKey.get(key);
    if (entry === undefined || --entry.connections > 0) return;
    this.#byKey.delete(key);
    if (this.#newest.get(entry.credentialsKey) === entry) this.#newest.delete(entry.credentialsKey);
    entry.close();
  }

  #find(credentials: SocketCredentials): Entry | undefined {
    const entry = this.#newest.get(credentialsKey(credentials));
    return entry?.isAlive() === true ? entry : undefined;
  }

  #describe(credentials: SocketCredentials, pidfd: number): Entry {
    const startTime = this.#kernel.startTime(credentials.pid);
    if (startTime === undefined) throw gone(credentials.pid);
    return new Entry(`process-${++this.#serial}`, credentials, startTime, pidfd, this.#kernel);
  }

  #add(entry: Entry): void {
    this.#byKey.set(entry.key, entry);
    this.#newest.set(entry.credentialsKey, entry);
  }
}

class Entry implements PeerProcess {
  readonly key: string;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly startTime: string;
  readonly credentialsKey: string;
  readonly #kernel: Kernel;
  #pidfd: number | undefined;
  connections = 0;

  constructor(
    key: string,
    credentials: SocketCredentials,
    startTime: string,
    pidfd: number,
    kernel: Kernel,
  ) {
    this.key = key;
    this.pid = credentials.pid;
    this.uid = credentials.uid;
    this.gid = credentials.gid;
    this.startTime = startTime;
    this.credentialsKey = credentialsKey(credentials);
    this.#pidfd = pidfd;
    this.#kernel = kernel;
  }

  isAlive(): boolean {
    return this.#pidfd !== undefined && this.#kernel.isPidfdAlive(this.#pidfd);
  }

  /** After this the number may be another file's, and is not asked again. */
  close(): void {
    const pidfd = this.#pidfd;
    this.#pidfd = undefined;
    if (pidfd !== undefined) this.#kernel.close(pidfd);
  }
}

function credentialsKey({ pid, uid, gid }: SocketCredentials): string {
  return `${pid}:${uid}:${gid}`;
}

function requirePid(credentials: SocketCredentials): void {
  if (credentials.pid > 0) return;
  throw new TrustplaneError(
    'ERR_PEER_UNKNOWN',
    'the kernel names no process for the connection: the peer is in a PID namespace that is not visible here',
  );
}

/** The error for a call or connection of a process that has exited. */
export function gone(pid: number): TrustplaneError {
  return new TrustplaneError(
    'ERR_PEER_GONE',
    `process ${pid} opened the connection and has exited since; whoever holds the connection now is not known`,
  );
}
