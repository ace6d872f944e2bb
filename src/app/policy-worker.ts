/** The thread that reads, checks and compiles policies, so that a large set stops nobody else. */
import { flushCompileCache } from 'node:module';
import { parentPort } from 'node:worker_threads';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { CompilerAnswer } from './policy-compiler.ts';
import { PolicyLoader } from './policy-loader.ts';
import type { PolicySources } from './policy-source.ts';

/** After the first set, which others wait for. */
const KEEP_CODE_AFTER_MS = 5_000;

const loader = new PolicyLoader();
// Else the compiled code is kept at the thread's end alone, and a crash has none.
setTimeout(flushCompileCache, KEEP_CODE_AFTER_MS).unref();
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (sources: PolicySources) => {
  last = last.then(async () => parentPort?.postMessage(await answerTo(sources), []));
});

async function answerTo(sources: PolicySources): Promise<CompilerAnswer> {
  try {
    return { type: 'compiled', set: await loader.load(sources) };
  } catch (error) {
    const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
    return { type: 'refused', code, message: messageOf(error) };
  }
}
