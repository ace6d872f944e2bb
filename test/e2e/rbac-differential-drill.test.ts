import { expect, it } from 'vitest';
import { makeCertificateShapes } from '../differential/certificate-shapes.ts';
import { Engine } from '../differential/engine.ts';
import { plainly } from '../differential/plain-policies.ts';
import { domains, PolicyMaker, sources, type World } from '../differential/random-policies.ts';
import { type Asked, QuestionMaker } from '../differential/random-questions.ts';
import { type Lane, launchRbacEnvoy, pushRules } from '../differential/rbac-envoy.ts';
import { compileDocuments, rbacTerms } from '../differential/rbac-facts.ts';
import { type RbacCase, RbacInterview } from '../differential/rbac-interview.ts';
import { createShare } from '../differential/run-differential.ts';
import { freePorts } from '../programs/free-ports.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

/** `SEED=7 CASE=12` asks one case again; `DECISIONS=100000 npm run drill:rbac-differential` asks more. */
const SEED = Number(process.env['SEED']);
const DECISIONS = Number(process.env['DECISIONS'] ?? 20_000);
const ONLY = process.env['CASE'];
const QUESTIONS = 100;
/** Each question is put to three judges, and some to a fourth; some the proxy answers by itself. */
const CASES = Math.ceil(DECISIONS / (QUESTIONS * 2.6));
const LANES = 3;
const SERVICE = `spiffe://${domains.own}/ns/ledger/sa/api`;

it(`${DECISIONS} decisions by RBAC in an Envoy, with and without Check, are those of an evaluator of other make (SEED=${SEED})`, {
  timeout: 120_000 + DECISIONS * 20,
}, async () => {
  const now = Date.now();
  const ports = await freePorts(2 * LANES);
  const shapes = await makeCertificateShapes(now);
  const lanes = Array.from({ length: LANES }, (_, number): Lane => {
    return { number, ports: ports.slice(2 * number, 2 * number + 2) };
  });
  const cases = Array.from({ length: CASES }, (_, number) => number)
    .filter((number) => ONLY === undefined || number === Number(ONLY))
    .map((number) => makeCase(number, lanes[number % LANES]?.ports ?? [], now));
  const documents = cases.flatMap(({ policies }) => policies);
  const names = cases.map(({ name }) => name);
  await using envoy = await launchRbacEnvoy({
    lanes,
    service: SERVICE,
    cases: names,
    documents,
    shapes,
  });
  const share = createShare(new Engine(shapes, now), { now });
  const interview = new RbacInterview({ envoy, shapes, share });
  const terms = rbacTerms(shapes);
  const work = async ({ number }: Lane): Promise<void> => {
    for (const one of cases.filter((each) => each.number % LANES === number)) {
      const layout = one.number % 5 === 4 ? 'flat-denies' : 'nested';
      const compile = (target: 'http' | 'network') =>
        compileDocuments(one.policies, one.service, terms, { target, layout });
      const compiled = { http: compile('http'), network: compile('network') };
      await pushRules(envoy, number, compiled);
      await interview.ask(number, one, compiled);
    }
  };
  await Promise.all(lanes.map(work));
  interview.close();
  const { tally } = interview;
  expect(tally.differences.slice(0, 3)).toEqual([]);
  expect(interview.misread(await envoy.finish()).slice(0, 3)).toEqual([]);
  if (ONLY !== undefined) return;
  expect(tally.decisions).toBeGreaterThanOrEqual(DECISIONS);
  expect(tally.connections).toBeGreaterThan(50);
  expect(tally.unasked).toBeLessThan(tally.decisions / 10);
  // Trees that leave all to Check would be right, and no use.
  expect(tally.unchecked).toBeGreaterThan(tally.decisions / 100);
  expect(tally.whole).toBeGreaterThan(tally.decisions / 100);
});

/** Routes name its policies. */
function makeCase(number: number, ports: readonly number[], now: number): RbacCase {
  const random = createSeededRandom(SEED + number * 7_919);
  const world: World = { ports, now, sources, destinations: ['127.0.0.1'], awaiting: [] };
  const name = `c${number}`;
  const service = { id: SERVICE, extension: name };
  const made = new PolicyMaker(random, world).make({ contextExtension: name });
  // Of half of them an Envoy can decide most.
  const policies = (number % 2 === 0 ? made : plainly(made, number % 4 === 3)).map((policy) => ({
    ...policy,
    metadata: { name: `${name}-${policy.metadata.name}` },
  }));
  const ask = new QuestionMaker(random, world);
  const asked = Array.from({ length: QUESTIONS }, () => inWay(ask.make(policies, service), random));
  return { number, name, service, policies, asked, replay: `SEED=${SEED} CASE=${number}` };
}

/** A third by HTTP/2, where methods may have any letters. */
function inWay(asked: Asked, random: (limit: number) => number): RbacCase['asked'][number] {
  const isHttp2 = random(3) === 0;
  const isLower = random(8) === 0;
  const { http } = asked;
  if (!isHttp2 || http === undefined) return { asked, isHttp2: false };
  const method = isLower ? http.method.toLowerCase() : http.method;
  return { asked: { ...asked, http: { ...http, method } }, isHttp2 };
}
