/** The thread that reads, checks and compiles policies, so that a large set stops nobody else. */
import { parentPort } from 'node:worker_threads';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { CompilerAnswer } from './policy-compiler.ts';
import { PolicyLoader } from './policy-loader.ts';
import type { PolicySources } from './policy-source.ts';

const loader = new PolicyLoader();
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (sources: PolicySources) => {
  last = last.then(async () => parentPort?.postMessage(await answerTo(sources)));
});

async function answerTo(sources: PolicySources): Promise<CompilerAnswer> {
  try {
    return { type: 'compiled', set: await loader.load(sources) };
  } catch (error) {
    const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
    return { type: 'refused', code, message: messageOf(error) };
  }
}
