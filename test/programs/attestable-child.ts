import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AttestableProcess } from '../../src/attest/index.ts';
import { readStartTime } from '../../src/ops/index.ts';
import { linuxKernel } from '../../src/wire/libc.ts';

/** A real process that says when it runs, and is attested by its pidfd as a connected one is. */
export class AttestableChild implements AttestableProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly startTime: string;
  readonly #pidfd: number;

  private constructor(child: ChildProcess, pid: number, uid: number, gid: number) {
    this.child = child;
    this.pid = pid;
    this.uid = uid;
    this.gid = gid;
    this.startTime = readStartTime(pid);
    this.#pidfd = linuxKernel.openPidfd(pid);
  }

  /** Resolves when the program runs; `spawn` reports only after the exec. */
  static async start(
    program: string,
    args: readonly string[],
    options: SpawnOptions = {},
  ): Promise<AttestableChild> {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], ...options });
    await once(child, 'spawn');
    const uid = options.uid ?? process.geteuid?.() ?? -1;
    const gid = options.gid ?? process.getegid?.() ?? -1;
    return new AttestableChild(child, child.pid ?? -1, uid, gid);
  }

  isAlive(): boolean {
    return linuxKernel.isPidfdAlive(this.#pidfd);
  }

  /** Sends a line to its standard input and resolves with what it answers. */
  async say(line: string): Promise<string> {
    const { stdin, stdout } = this.child;
    if (stdin === null || stdout === null) throw new Error('the child has no pipes');
    stdin.write(`${line}\n`);
    const [answer]: unknown[] = await once(stdout, 'data');
    return String(answer);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }
}
