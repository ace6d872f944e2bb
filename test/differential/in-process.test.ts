import { expect, it } from 'vitest';
import { testNow } from '../fakes/test-certificates.ts';
import { makeCertificateShapes } from './certificate-shapes.ts';
import { Engine } from './engine.ts';
import { farSources } from './random-policies.ts';
import { canaryShare, runDifferential } from './run-differential.ts';

/** `SEED=7 CASE=12` asks one case again; `CASES` is how many there are. */
const SEED = Number(process.env['SEED']);
const CASES = Number(process.env['CASES'] ?? 100);
const ONLY = process.env['CASE'];
const world = { ports: [8443, 9443], now: testNow, sources: farSources, destinations: farSources };

it(`decides what an evaluator of other make decides, in ${CASES} policies (SEED=${SEED}, AUTHZ-6)`, async () => {
  const shapes = await makeCertificateShapes(testNow);
  const only = ONLY === undefined ? undefined : Number(ONLY);
  const options = { seed: SEED, cases: CASES, questions: 60, world, shapes, only };
  const { differences, refused, reasons } = runDifferential(options);
  expect(differences.slice(0, 3)).toEqual([]);
  expect(refused).toBe(0);
  // Few cases do not come to all of them.
  const all = only === undefined && CASES >= 100 ? 9 : 1;
  expect(reasons.size).toBeGreaterThanOrEqual(all);
});

it('has about as many callers in a canary as it says, and the same ones in a larger one', async () => {
  const engine = new Engine(await makeCertificateShapes(testNow), testNow, false);
  const shares = [0, 1, 10, 50, 90, 100].map((percent) =>
    canaryShare(engine, world, percent, 2_000),
  );
  const lost = shares.flatMap((share, at) =>
    [...share].filter((id) => shares[at + 1]?.has(id) === false),
  );
  expect(lost).toEqual([]);
  const [none, one, ten, half, most, all] = shares.map((share) => share.size / 2_000);
  expect([none, all]).toEqual([0, 1]);
  expect(one).toBeLessThan(0.03);
  expect(ten).toBeGreaterThan(0.06);
  expect(ten).toBeLessThan(0.14);
  expect(half).toBeGreaterThan(0.44);
  expect(half).toBeLessThan(0.56);
  expect(most).toBeGreaterThan(0.86);
});
