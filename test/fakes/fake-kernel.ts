import { TrustplaneError } from '../../src/spiffe/index.ts';
import type { Kernel, SocketCredentials } from '../../src/wire/libc.ts';

interface FakeProcess {
  readonly pid: number;
  readonly startTime: string;
  uid: number;
  gid: number;
  alive: boolean;
}

/** Processes, sockets and pidfds without a machine; pids can be given again. */
export class FakeKernel implements Kernel {
  readonly #peerPidfds: boolean;
  readonly #processes: FakeProcess[] = [];
  readonly #sockets = new Map<number, { process: FakeProcess; credentials: SocketCredentials }>();
  readonly #pidfds = new Map<number, FakeProcess>();
  #nextDescriptor = 3;

  constructor(options: { peerPidfds?: boolean } = {}) {
    this.#peerPidfds = options.peerPidfds ?? true;
  }

  get openPidfds(): number {
    return this.#pidfds.size;
  }

  start(process: { pid: number; startTime?: string; uid?: number; gid?: number }): void {
    this.#processes.push({ startTime: '1', uid: 1000, gid: 1000, ...process, alive: true });
  }

  exit(pid: number): void {
    this.#living(pid).alive = false;
  }

  setCredentials(pid: number, uid: number, gid: number): void {
    Object.assign(this.#living(pid), { uid, gid });
  }

  /** @returns the accepted socket of a new connection from that process */
  connect(pid: number, options: { dead?: boolean } = {}): number {
    if (options.dead === true) this.start({ pid });
    const process = this.#living(pid);
    const socket = this.#nextDescriptor++;
    const { uid, gid } = process;
    this.#sockets.set(socket, { process, credentials: { pid, uid, gid } });
    if (options.dead === true) this.exit(pid);
    return socket;
  }

  peerCredentials(socket: number): SocketCredentials {
    return this.#socket(socket).credentials;
  }

  peerPidfd(socket: number): number | undefined {
    return this.#peerPidfds ? this.#open(this.#socket(socket).process) : undefined;
  }

  openPidfd(pid: number): number {
    const process = this.#processes.find((each) => each.pid === pid && each.alive);
    if (process === undefined) throw new TrustplaneError('ERR_PEER_GONE', 'ESRCH');
    return this.#open(process);
  }

  isPidfdAlive(pidfd: number): boolean {
    const process = this.#pidfds.get(pidfd);
    if (process === undefined) throw new Error(`${pidfd} is no open pidfd`);
    return process.alive;
  }

  startTime(pid: number): string | undefined {
    return this.#processes.find((each) => each.pid === pid && each.alive)?.startTime;
  }

  close(pidfd: number): void {
    if (!this.#pidfds.delete(pidfd)) throw new Error(`${pidfd} is no open pidfd`);
  }

  peek(): number {
    return -1;
  }

  #open(process: FakeProcess): number {
    const pidfd = this.#nextDescriptor++;
    this.#pidfds.set(pidfd, process);
    return pidfd;
  }

  #socket(socket: number): { process: FakeProcess; credentials: SocketCredentials } {
    const found = this.#sockets.get(socket);
    if (found === undefined) throw new Error(`${socket} is no socket`);
    return found;
  }

  #living(pid: number): FakeProcess {
    const process = this.#processes.find((each) => each.pid === pid && each.alive);
    if (process === undefined) throw new Error(`no process ${pid}`);
    return process;
  }
}
