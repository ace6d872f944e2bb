import type { Worker } from 'node:worker_threads';
import { type ErrorCode, messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { PolicyCompiler, PolicySet, PolicySources } from './policy-source.ts';
import { compilerThread, startThread } from './start-thread.ts';

/** What the thread answers to each message, in their order. */
export type CompilerAnswer =
  | { readonly type: 'compiled'; readonly set: PolicySet }
  | { readonly type: 'refused'; readonly code: ErrorCode; readonly message: string };

/** The thread begins with the first set; one that ended is replaced by the next. */
export function startPolicyCompiler(): PolicyCompiler {
  return new ThreadedCompiler();
}

class ThreadedCompiler implements PolicyCompiler {
  #worker: Worker | undefined;
  readonly #waiting: PromiseWithResolvers<PolicySet>[] = [];

  compile(sources: PolicySources): Promise<PolicySet> {
    const waiting = Promise.withResolvers<PolicySet>();
    this.#waiting.push(waiting);
    this.#worker ??= this.#start();
    this.#worker.postMessage(sources, []);
    return waiting.promise;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#end('it was closed');
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = startThread(compilerThread);
    worker.on('message', (answer: CompilerAnswer) => this.#settle(answer));
    worker.once('error', (error) => {
      if (worker === this.#worker) this.#end(messageOf(error));
    });
    worker.once('exit', (code) => {
      if (worker === this.#worker) this.#end(`exit code ${code}`);
    });
    return worker;
  }

  #settle(answer: CompilerAnswer): void {
    const waiting = this.#waiting.shift();
    if (answer.type === 'compiled') waiting?.resolve(answer.set);
    else waiting?.reject(new TrustplaneError(answer.code, answer.message));
  }

  #end(reason: string): void {
    this.#worker = undefined;
    for (const waiting of this.#waiting.splice(0))
      waiting.reject(
        new TrustplaneError('ERR_INTERNAL', `the thread that compiles policies ended: ${reason}`),
      );
  }
}
