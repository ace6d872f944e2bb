/** The thread on which policies that are to be applied are read, checked and tried, so that nobody waits for it. */
import { parentPort } from 'node:worker_threads';
import { changedDecisions, checkPolicyFiles } from '../policies/index.ts';
import type { PolicyCheckAnswer, PolicyCheckWork } from './policy-checker.ts';

parentPort?.on('message', ({ files, before, now }: PolicyCheckWork) => {
  const check = checkPolicyFiles(files, now);
  const isCompared = before !== undefined && check.complaints.length === 0;
  const decisions = isCompared ? changedDecisions(before, files) : [];
  const answer: PolicyCheckAnswer = { ...check, decisions };
  parentPort?.postMessage(answer, []);
});
