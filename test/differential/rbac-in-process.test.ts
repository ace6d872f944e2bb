import { expect, it } from 'vitest';
import { testNow } from '../fakes/test-certificates.ts';
import { makeCertificateShapes } from './certificate-shapes.ts';
import { rbacWorld, runRbacDifferential } from './run-rbac-differential.ts';

/** `SEED=7 CASE=12` asks one case again; `CASES` is how many there are. */
const SEED = Number(process.env['SEED']);
const CASES = Number(process.env['CASES'] ?? 100);
const ONLY = process.env['CASE'];

it(`puts nothing into Envoy that an evaluator of other make decides otherwise, in ${CASES} policies (SEED=${SEED})`, async () => {
  const shapes = await makeCertificateShapes(testNow);
  const only = ONLY === undefined ? undefined : Number(ONLY);
  const world = rbacWorld(testNow);
  const options = { seed: SEED, cases: CASES, questions: 60, world, shapes, only };
  const { differences, decisions, allowed, whole } = runRbacDifferential(options);
  expect(differences.slice(0, 3)).toEqual([]);
  if (only !== undefined) return;
  // A compiler that leaves all to Check is right, and no use.
  expect(allowed / decisions).toBeGreaterThan(0.01);
  expect(whole).toBeGreaterThan(CASES);
});
