/** The thread on which policies that are to be applied are read, checked and tried, so that nobody waits for it. */
import { parentPort } from 'node:worker_threads';
import { checkPolicyFiles } from '../policies/index.ts';
import type { PolicyCheckWork } from './policy-checker.ts';

parentPort?.on('message', ({ files, now }: PolicyCheckWork) => {
  parentPort?.postMessage(checkPolicyFiles(files, now));
});
