import type { Worker } from 'node:worker_threads';
import { type ErrorCode, messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { PolicyCompiler, PolicySet, PolicySources } from './policy-source.ts';
import type { ExportedRbac, RbacCompiler, RbacOrder } from './rbac-export.ts';
import { compilerThread, startThread } from './start-thread.ts';

/** What the thread is asked. */
export type CompilerWork =
  | { readonly type: 'compile'; readonly sources: PolicySources }
  | { readonly type: 'export'; readonly order: RbacOrder }
  | { readonly type: 'blame'; readonly order: RbacOrder; readonly refusal: string };

/** What it answers to each, in their order. */
export type CompilerAnswer =
  | { readonly type: 'compiled'; readonly set: PolicySet }
  | { readonly type: 'exported'; readonly rbac: ExportedRbac }
  | { readonly type: 'blamed'; readonly rules: readonly string[] }
  /** It has no policies of that digest. */
  | { readonly type: 'unknown' }
  | { readonly type: 'refused'; readonly code: ErrorCode; readonly message: string };

/** The thread begins with the first set; one that ended is replaced by the next. */
export function startPolicyCompiler(): PolicyCompiler & RbacCompiler {
  return new ThreadedCompiler();
}

class ThreadedCompiler implements PolicyCompiler, RbacCompiler {
  #worker: Worker | undefined;
  readonly #waiting: PromiseWithResolvers<CompilerAnswer>[] = [];
  /** What was compiled last, for a thread that takes the place of one that knew it. */
  #last: { readonly digest: string; readonly sources: PolicySources } | undefined;

  async compile(sources: PolicySources): Promise<PolicySet> {
    const answer = await this.#ask({ type: 'compile', sources });
    if (answer.type !== 'compiled') throw unexpected(answer);
    this.#last = { digest: answer.set.digest, sources };
    return answer.set;
  }

  async exportRbac(order: RbacOrder): Promise<ExportedRbac> {
    const answer = await this.#askKnowing(order, { type: 'export', order });
    if (answer.type !== 'exported') throw unexpected(answer);
    return answer.rbac;
  }

  async blame(order: RbacOrder, refusal: string): Promise<readonly string[]> {
    const answer = await this.#askKnowing(order, { type: 'blame', order, refusal });
    if (answer.type !== 'blamed') throw unexpected(answer);
    return answer.rules;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#end('it was closed');
    await worker?.terminate();
  }

  /** A thread that is new is told the policies again. */
  async #askKnowing({ digest }: RbacOrder, work: CompilerWork): Promise<CompilerAnswer> {
    const answer = await this.#ask(work);
    if (answer.type !== 'unknown' || this.#last?.digest !== digest) return answer;
    await this.compile(this.#last.sources);
    return await this.#ask(work);
  }

  /** @throws TrustplaneError what it refuses */
  async #ask(work: CompilerWork): Promise<CompilerAnswer> {
    const waiting = Promise.withResolvers<CompilerAnswer>();
    this.#waiting.push(waiting);
    this.#worker ??= this.#start();
    this.#worker.postMessage(work, []);
    const answer = await waiting.promise;
    if (answer.type === 'refused') throw new TrustplaneError(answer.code, answer.message);
    return answer;
  }

  #start(): Worker {
    const worker = startThread(compilerThread);
    worker.on('message', (answer: CompilerAnswer) => this.#waiting.shift()?.resolve(answer));
    worker.once('error', (error) => {
      if (worker === this.#worker) this.#end(messageOf(error));
    });
    worker.once('exit', (code) => {
      if (worker === this.#worker) this.#end(`exit code ${code}`);
    });
    return worker;
  }

  #end(reason: string): void {
    this.#worker = undefined;
    for (const waiting of this.#waiting.splice(0))
      waiting.reject(
        new TrustplaneError('ERR_INTERNAL', `the thread that compiles policies ended: ${reason}`),
      );
  }
}

function unexpected({ type }: CompilerAnswer): TrustplaneError {
  const message =
    type === 'unknown' ? 'the policies are not known any more' : `expected another answer: ${type}`;
  return new TrustplaneError('ERR_POLICY', message);
}
