/** Judges the compiler of RBAC of the checkout that this file is in: exit code 1 and a line when it is found wrong. */
import { testNow } from '../fakes/test-certificates.ts';
import { makeCertificateShapes } from './certificate-shapes.ts';
import { rbacWorld, runRbacDifferential } from './run-rbac-differential.ts';

const [seed = '1', cases = '500'] = process.argv.slice(2);
const shapes = await makeCertificateShapes(testNow);
const world = rbacWorld(testNow);
const options = { seed: Number(seed), cases: Number(cases), questions: 60, world, shapes };
const { differences, decisions } = runRbacDifferential({ ...options, stopsAtFirst: true });
const [first] = differences;
if (first !== undefined) {
  const { replay, fault, truth } = first;
  process.stdout.write(
    `${replay}, after ${decisions} decisions: ${truth.verdict.reason} became ${fault}\n`,
  );
  process.exitCode = 1;
}
