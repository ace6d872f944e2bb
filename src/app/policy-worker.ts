/** The thread that reads, checks and compiles policies, so that a large set stops nobody else. */
import { flushCompileCache } from 'node:module';
import { parentPort } from 'node:worker_threads';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { blameRules, exportRbac } from './export-rbac.ts';
import type { CompilerAnswer, CompilerWork } from './policy-compiler.ts';
import { PolicyLoader } from './policy-loader.ts';

/** After the first set, which others wait for. */
const KEEP_CODE_AFTER_MS = 5_000;

const loader = new PolicyLoader();
// Else the compiled code is kept at the thread's end alone, and a crash has none.
setTimeout(flushCompileCache, KEEP_CODE_AFTER_MS).unref();
let last: Promise<void> = Promise.resolve();

parentPort?.on('message', (work: CompilerWork) => {
  last = last.then(async () => await answer(work));
});

async function answer(work: CompilerWork): Promise<void> {
  const said = await answerTo(work);
  parentPort?.postMessage(said, said.type === 'exported' ? [said.rbac.bytes.buffer] : []);
}

async function answerTo(work: CompilerWork): Promise<CompilerAnswer> {
  try {
    if (work.type === 'compile') return { type: 'compiled', set: await loader.load(work.sources) };
    const policies = loader.policiesOf(work.order.digest);
    if (policies === undefined) return { type: 'unknown' };
    if (work.type === 'export') return { type: 'exported', rbac: exportRbac(policies, work.order) };
    return { type: 'blamed', rules: blameRules(policies, work.order, work.refusal) };
  } catch (error) {
    const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
    return { type: 'refused', code, message: messageOf(error) };
  }
}
