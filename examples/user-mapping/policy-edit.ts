import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runTrustplane } from '../../test/programs/launch-trustplane.ts';
import type { Caller } from './callers.ts';
import type { Place } from './launch.ts';

/** How long an edit may take to be obeyed before it counts as ignored. */
const PATIENCE_MS = 5000;
const ISSUE = 'POST /projects/shop/issues';
const narrow = 'allow: [GET /user, "GET /projects/{project}/**"]';
const wide = narrow.replace(']', ', "POST /projects/{project}/issues"]');

/** Lets jobs open issues, or not, by an edit of the policy; resolves with the milliseconds until it was obeyed, Infinity if never. */
export async function editPolicy(place: Place, job: Caller, mayWrite: boolean): Promise<number> {
  const file = path.join(place.policies, 'issues.yaml');
  const [from, to] = mayWrite ? [narrow, wide] : [wide, narrow];
  const text = readFileSync(file, 'utf8');
  if (!text.includes(from)) throw new Error(`issues.yaml has no ${from}`);
  writeFileSync(
    `${file}.new`,
    text.replace(from, () => to),
  );
  const begin = performance.now();
  renameSync(`${file}.new`, file);
  return await obeyed(job, mayWrite ? '201 as ci-shop (shop)' : '403', begin);
}

/** Takes the job's identity away; resolves likewise. */
export async function dismissJob({ trustplane, jobEntry }: Place, job: Caller): Promise<number> {
  const where = ['--admin-socket', trustplane.adminSocket];
  const { code, stderr } = await runTrustplane('entry', 'delete', jobEntry, ...where);
  if (code !== 0) throw new Error(`entry delete failed: ${stderr}`);
  return await obeyed(job, '403', performance.now(), 'GET /projects/shop/issues');
}

async function obeyed(job: Caller, wanted: string, begin: number, line = ISSUE): Promise<number> {
  while (performance.now() < begin + PATIENCE_MS)
    if ((await job(line)) === wanted) return performance.now() - begin;
  return Infinity;
}
