import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';

/** A part of a measurement in a process of its own, which answers each message with one. */
export class Child {
  readonly #process: ChildProcess;
  readonly #messages: AsyncIterator<unknown[], undefined>;

  constructor(file: URL, ...args: readonly string[]) {
    this.#process = fork(file, args, { stdio: ['ignore', 2, 2, 'ipc'], execArgv: [] });
    this.#messages = on(this.#process, 'message', { close: ['exit'] });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async ask(message: object): Promise<unknown> {
    this.#process.send(message);
    return await this.next();
  }

  /** What it says next. */
  async next(): Promise<unknown> {
    const answer = await this.#messages.next();
    if (answer.value === undefined) throw new Error('a process of the measurement has died');
    return answer.value[0];
  }

  stop(): void {
    this.#process.kill();
  }
}
