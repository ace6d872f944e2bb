import { expect, it } from 'vitest';
import { makeCertificateShapes } from '../differential/certificate-shapes.ts';
import { Engine } from '../differential/engine.ts';
import { evaluate, type Verdict } from '../differential/evaluate.ts';
import { launchJudgedEnvoy, tokenOf } from '../differential/judged-envoy.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { domains, PolicyMaker, sources, type World } from '../differential/random-policies.ts';
import { type Asked, QuestionMaker } from '../differential/random-questions.ts';
import { type RawAnswer, RawClient } from '../differential/raw-client.ts';
import { createShare } from '../differential/run-differential.ts';
import { freePorts } from '../programs/free-ports.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

/** `SEED=7 CASE=12` asks one case again; `DECISIONS=100000 npm run drill:differential` asks more. */
const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const DECISIONS = Number(process.env['DECISIONS'] ?? 20_000);
const ONLY = process.env['CASE'];
const QUESTIONS = 200;
/** Some are no requests, and some the proxy answers by itself. */
const CASES = Math.ceil((DECISIONS * 1.15) / QUESTIONS);
const SERVICE = `spiffe://${domains.own}/ns/ledger/sa/api`;
const AT_ONCE = 24;

interface Case {
  readonly name: string;
  readonly policies: readonly PolicyDocument[];
  readonly asked: readonly Asked[];
}

interface Tally {
  decisions: number;
  /** What the proxy answered without asking. */
  unasked: number;
  readonly reasons: Set<string>;
  readonly differences: unknown[];
}

it(`${DECISIONS} decisions through an Envoy are those of an evaluator of other make (SEED=${SEED}; AUTHZ-3, AUTHZ-4, AUTHZ-6, AUTHZ-10, AUTHZ-12)`, {
  timeout: 120_000 + DECISIONS * 20,
}, async () => {
  const now = Date.now();
  const ports = await freePorts(2);
  const world = { ports, now, sources, destinations: ['127.0.0.1'], awaiting: [] };
  const shapes = await makeCertificateShapes(now);
  const engine = new Engine(shapes, now);
  const cases = Array.from({ length: CASES }, (_, number) => makeCase(number, world)).filter(
    (_, number) => ONLY === undefined || number === Number(ONLY),
  );
  engine.load(cases.flatMap(({ policies }) => policies));
  const share = createShare(new Engine(shapes, now), world);
  await using envoy = await launchJudgedEnvoy({
    ports: world.ports,
    cases: cases.map(({ name }) => name),
    engine,
    shapes,
  });
  const tally: Tally = { decisions: 0, unasked: 0, reasons: new Set(), differences: [] };
  const lines = Map.groupBy(
    cases.flatMap((one) => one.asked.map((asked) => ({ one, asked }))),
    ({ asked: { as, sourceIp, port } }) => `${as} ${sourceIp} ${port}`,
  );
  const queue = [...lines.values()];
  const work = async (): Promise<void> => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const [first] = next;
      if (first === undefined) continue;
      const { as, sourceIp, port } = first.asked;
      const identity = envoy.identityOf(as);
      const client = new RawClient({ port, localAddress: sourceIp, identity });
      for (const { one, asked } of next) {
        const seen = port === world.ports[0] ? asked : withJoinedLines(asked);
        const expected = evaluate(one.policies, seen, share);
        judge(tally, one, asked, expected, await client.ask(headOf(one.name, asked)));
      }
      client.close();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  expect(tally.differences.slice(0, 3)).toEqual([]);
  expect(tally.decisions).toBeGreaterThanOrEqual(ONLY === undefined ? DECISIONS : 1);
  expect(tally.unasked).toBeLessThan(tally.decisions / 20);
});

function makeCase(number: number, world: World): Case {
  const random = createSeededRandom(SEED + number * 7_919);
  const name = `c${number}`;
  const made = new PolicyMaker(random, world).make({ contextExtension: name });
  const policies = made.map((policy) => ({
    ...policy,
    metadata: { name: `${name}-${policy.metadata.name}` },
  }));
  const ask = new QuestionMaker(random, world);
  const asked = Array.from({ length: QUESTIONS }, () =>
    ask.make(policies, { id: SERVICE, extension: name }),
  ).filter(({ http }) => http !== undefined);
  return { name, policies, asked };
}

/**
 * As a proxy tells headers that has no raw ones: of one name all in one line, of which each part between
 * commas may have been a line.
 */
function withJoinedLines(asked: Asked): Asked {
  if (asked.http === undefined) return asked;
  const named = Map.groupBy(asked.http.lines, ([name]) => name.toLowerCase());
  const lines = [...named].flatMap(([name, all]) => {
    const joined = all.map(([, value]) => value).join(',');
    const parts = joined.includes(',') ? joined.split(',').map((part) => part.trim()) : [];
    return [joined, ...parts].map((value) => [name, value] as const);
  });
  return { ...asked, http: { ...asked.http, lines } };
}

function headOf(name: string, { http, claims }: Asked): string {
  if (http === undefined) throw new Error('there is no request');
  const { method, target, host, lines } = http;
  const headers = [
    ['host', host],
    ['x-case', name],
    ...(claims === undefined ? [] : [['x-token', tokenOf(claims)]]),
    ...(method === 'GET' ? [] : [['content-length', '0']]),
    ...lines,
  ];
  return `${method} ${target} HTTP/1.1\r\n${headers.map((line) => line.join(': ')).join('\r\n')}\r\n\r\n`;
}

function judge(
  tally: Tally,
  { name, policies }: Case,
  asked: Asked,
  expected: Verdict,
  answer: RawAnswer,
): void {
  const said = (field: string): string | undefined => {
    const value = answer.headers.get(`x-said-${field}`);
    return value === undefined || value === '' || value === '-' ? undefined : value;
  };
  const reason = said('reason');
  if (reason === undefined && answer.status === 400) {
    tally.unasked++;
    return;
  }
  tally.decisions++;
  tally.reasons.add(expected.reason);
  const rule = said('rule') === undefined ? undefined : `${said('policy')}/${said('rule')}`;
  const isAllowed = expected.reason === 'allowed_by_rule';
  const reached = isAllowed && answer.status === 200 ? reachedBy(answer, expected) : undefined;
  const wanted = isAllowed ? reachedAs(expected) : undefined;
  const isSame =
    reason === expected.reason &&
    rule === expected.rule &&
    isRightStatus(answer, expected, asked) &&
    reached === wanted;
  if (isSame) return;
  const replay = `SEED=${SEED} CASE=${name.slice(1)}`;
  const { status } = answer;
  tally.differences.push({
    replay,
    expected,
    wanted,
    got: { status, reason, rule, reached },
    asked,
    policies: JSON.stringify(policies),
  });
}

/** A denied gRPC call is answered with 200 and a status of gRPC. */
function isRightStatus({ status, headers }: RawAnswer, { reason }: Verdict, asked: Asked): boolean {
  if (reason === 'allowed_by_rule') return status === 200 && !headers.has('grpc-status');
  if (headers.has('grpc-status')) {
    const isAsked = asked.http?.lines.some(
      ([name, value]) => /^content-type$/iu.test(name) && value.startsWith('application/grpc'),
    );
    return (
      isAsked === true && headers.get('grpc-status') === (reason === 'unauthenticated' ? '16' : '7')
    );
  }
  return status === (reason === 'unauthenticated' ? 401 : 403);
}

/** What the application saw of the headers that are the policies' own, in whatever spelling. */
function reachedBy({ body }: RawAnswer, { owned }: Verdict): string {
  const raw: readonly string[] = JSON.parse(body);
  const names = new Set(owned.keys());
  return raw
    .flatMap((name, at) => {
      const spelled = name.toLowerCase();
      const isOwn = at % 2 === 0 && names.has(spelled.replaceAll('_', '-'));
      return isOwn ? [`${spelled}: ${raw[at + 1] ?? ''}`] : [];
    })
    .toSorted()
    .join('\n');
}

function reachedAs({ owned }: Verdict): string {
  return [...owned]
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
    .toSorted()
    .join('\n');
}
