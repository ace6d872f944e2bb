/** Judges the engine of the checkout that this file is in: exit code 1 and a line when it is found wrong. */
import { testNow } from '../fakes/test-certificates.ts';
import { makeCertificateShapes } from './certificate-shapes.ts';
import { Engine } from './engine.ts';
import { farSources } from './random-policies.ts';
import { canaryShare, runDifferential } from './run-differential.ts';

const [seed = '1', cases = '400'] = process.argv.slice(2);
const world = { ports: [8443, 9443], now: testNow, sources: farSources, destinations: farSources };
const shapes = await makeCertificateShapes(testNow);

/** Percentages and how many of 1,000 callers they are. */
const shares = [
  [0, 0, 0],
  [10, 50, 150],
  [100, 1_000, 1_000],
] as const;

function findFault(): string | undefined {
  const believing = new Engine(shapes, testNow, false);
  for (const [percent, least, most] of shares) {
    const { size } = canaryShare(believing, world, percent, 1_000);
    if (size < least || size > most) return `a canary of ${percent} % has ${size} of 1,000 callers`;
  }
  const options = { seed: Number(seed), cases: Number(cases), questions: 60, world, shapes };
  const { differences, decisions } = runDifferential({ ...options, stopsAtFirst: true });
  const [first] = differences;
  if (first === undefined) return undefined;
  return `${first.replay}, after ${decisions} decisions: ${first.expected.reason} became ${first.got}`;
}

const fault = findFault();
if (fault !== undefined) {
  process.stdout.write(`${fault}\n`);
  process.exitCode = 1;
}
