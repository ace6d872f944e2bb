import { expect, it } from 'vitest';
import { makeCertificateShapes } from '../differential/certificate-shapes.ts';
import { Engine } from '../differential/engine.ts';
import { evaluate, type Verdict } from '../differential/evaluate.ts';
import { isRightAnswer, reachedAs, reachedBy } from '../differential/judge-answer.ts';
import { type JudgedListener, launchJudgedEnvoy } from '../differential/judged-envoy.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import {
  domains,
  gateway,
  PolicyMaker,
  sources,
  type World,
} from '../differential/random-policies.ts';
import { type Asked, QuestionMaker } from '../differential/random-questions.ts';
import { type RawAnswer, RawClient } from '../differential/raw-client.ts';
import { requestOf } from '../differential/raw-request.ts';
import { createShare } from '../differential/run-differential.ts';
import { freePorts } from '../programs/free-ports.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

/** `SEED=7 CASE=12` asks one case again; `DECISIONS=100000 npm run drill:differential` asks more. */
const SEED = Number(process.env['SEED']);
const DECISIONS = Number(process.env['DECISIONS'] ?? 20_000);
const ONLY = process.env['CASE'];
const QUESTIONS = 200;
/** Some are no requests, and some the proxy answers by itself. */
const CASES = Math.ceil((DECISIONS * 1.15) / QUESTIONS);
const SERVICE = `spiffe://${domains.own}/ns/ledger/sa/api`;
const AT_ONCE = 24;
/** So many cases are of services that are known by their certificates. */
const SERVICES = 4;

/** Policies of one service: by the name that routes have, or by the SPIFFE ID of its certificate. */
interface Case {
  readonly number: number;
  readonly policies: readonly PolicyDocument[];
  readonly asked: readonly Asked[];
}

interface Tally {
  decisions: number;
  connections: number;
  /** What the proxy answered without asking. */
  unasked: number;
  readonly reasons: Set<string>;
  readonly differences: unknown[];
}

it(`${DECISIONS} decisions through an Envoy are those of an evaluator of other make (SEED=${SEED}; AUTHZ-3, AUTHZ-4, AUTHZ-6, AUTHZ-10, AUTHZ-12)`, {
  timeout: 120_000 + DECISIONS * 20,
}, async () => {
  const now = Date.now();
  const [raw = 0, joined = 0, ...others] = await freePorts(2 + 2 * SERVICES);
  const shapes = await makeCertificateShapes(now);
  const makers = Array.from({ length: CASES }, (_, number) => {
    const own = number < SERVICES ? others.slice(2 * number, 2 * number + 2) : [raw, joined];
    const awaiting = number < SERVICES ? [] : [joined];
    // Each caller has a connection from each source to each port.
    const few = number < SERVICES ? sources.slice(0, 2) : sources;
    const world = { ports: own, now, sources: few, destinations: ['127.0.0.1'], awaiting };
    return { number, world };
  });
  const cases = makers
    .filter(({ number }) => ONLY === undefined || number === Number(ONLY))
    .map(({ number, world }) =>
      number < SERVICES ? makeServiceCase(number, world) : makeRouteCase(number, world),
    );
  const documents = cases.flatMap(({ policies }) => policies);
  const share = createShare(new Engine(shapes, now), { now });
  const names = cases.filter(({ number }) => number >= SERVICES).map(({ number }) => `c${number}`);
  const listeners: readonly JudgedListener[] = [
    { port: raw, service: SERVICE, cases: names, isRaw: true },
    { port: joined, service: SERVICE, cases: names, isAwaiting: true },
    ...others.map((port, at) => {
      const service = serviceOf(Math.floor(at / 2));
      return { port, service, cases: [], isRaw: true, isTcp: at % 2 === 1 };
    }),
  ];
  await using envoy = await launchJudgedEnvoy({ listeners, documents, shapes });
  const tally: Tally = {
    decisions: 0,
    connections: 0,
    unasked: 0,
    reasons: new Set(),
    differences: [],
  };
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
        const seen = port === joined ? withJoinedLines(asked) : asked;
        const expected = evaluate(documents, { ...seen, now: now + 1 }, share);
        if (asked.http === undefined) await judgeConnection(tally, one, asked, expected, client);
        else
          judge(
            tally,
            one,
            asked,
            expected,
            await client.ask(requestOf(`c${one.number}`, asked, shapes)),
          );
      }
      client.close();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  expect(tally.differences.slice(0, 3)).toEqual([]);
  expect(tally.decisions).toBeGreaterThanOrEqual(ONLY === undefined ? DECISIONS : 1);
  expect(tally.connections).toBeGreaterThan(ONLY === undefined ? 50 : -1);
  expect(tally.unasked).toBeLessThan(tally.decisions / 20);
});

function serviceOf(number: number): string {
  return `spiffe://${domains.own}/ns/s${number}/sa/api`;
}

/** The route names the policies. */
function makeRouteCase(number: number, world: World): Case {
  const random = createSeededRandom(SEED + number * 7_919);
  const extension = `c${number}`;
  const policies = named(
    number,
    new PolicyMaker(random, world).make({ contextExtension: extension }),
  );
  const ask = new QuestionMaker(random, world);
  const asked = Array.from({ length: QUESTIONS }, () =>
    ask.make(policies, { id: SERVICE, extension }),
  ).filter(({ http }) => http !== undefined);
  return { number, policies, asked };
}

/** The certificate of the service does; it has one port for requests and one for connections. */
function makeServiceCase(number: number, world: World): Case {
  const random = createSeededRandom(SEED + number * 7_919);
  const id = serviceOf(number);
  const [port = 0, tcpPort = 0] = world.ports;
  const ways = [id, `spiffe://${domains.own}/ns/s${number}/**`, id.replace('/api', '/*')];
  const made = new PolicyMaker(random, world).make(id);
  const policies = named(number, made).map((policy) => ({
    ...policy,
    service: ways[random(ways.length)] ?? id,
  }));
  const ask = new QuestionMaker(random, world);
  const asked = Array.from({ length: QUESTIONS }, () => ask.make(policies, { id }));
  const connections = asked
    .filter(({ as, http }, at) => as !== gateway && (http === undefined || at % 5 === 0))
    .map(({ as, service, caller, sourceIp, destinationIp, now, sent }): Asked => {
      return { as, service, caller, sourceIp, destinationIp, now, sent, port: tcpPort };
    });
  const requests = asked.filter(({ http }) => http !== undefined).map((one) => ({ ...one, port }));
  return { number, policies, asked: [...requests, ...connections] };
}

/** Of all policies there are each has a name of its own. */
function named(number: number, policies: readonly PolicyDocument[]): readonly PolicyDocument[] {
  return policies.map((policy) => ({
    ...policy,
    metadata: { name: `c${number}-${policy.metadata.name}` },
  }));
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

/** Whether it lasts until the application has answered is all that is seen of it. */
async function judgeConnection(
  tally: Tally,
  { number, policies }: Case,
  asked: Asked,
  expected: Verdict,
  client: RawClient,
): Promise<void> {
  const isOpen = await client.ask('GET / HTTP/1.1\r\nhost: a\r\n\r\n').then(
    ({ status }) => status === 200,
    () => false,
  );
  client.close();
  tally.decisions++;
  tally.connections++;
  tally.reasons.add(expected.reason);
  if (isOpen === (expected.reason === 'allowed_by_rule')) return;
  const replay = `SEED=${SEED} CASE=${number}`;
  tally.differences.push({ replay, expected, isOpen, asked, policies: JSON.stringify(policies) });
}

function judge(
  tally: Tally,
  { number, policies }: Case,
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
  const hasReached = answer.status === 200 && !answer.headers.has('grpc-status');
  const reached = isAllowed && hasReached ? reachedBy(answer, expected) : undefined;
  const wanted = isAllowed ? reachedAs(expected) : undefined;
  const isSame =
    reason === expected.reason &&
    rule === expected.rule &&
    isRightAnswer(answer, expected, asked) &&
    reached === wanted;
  if (isSame) return;
  const replay = `SEED=${SEED} CASE=${number}`;
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
