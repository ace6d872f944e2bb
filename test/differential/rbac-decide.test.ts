import { expect, it } from 'vitest';
import {
  type AccessRequest,
  compilePlan,
  type Decision,
  decide,
  policySchema,
} from '../../src/authz/index.ts';
import {
  type CompiledRbac,
  compileRbac,
  evaluateMatcher,
  type MatchFacts,
  type RbacTerms,
} from '../../src/authz/rbac/index.ts';
import { enforceAll } from '../../src/authz/stages.ts';
import { SpiffeId } from '../../src/spiffe/index.ts';
import { testNow } from '../fakes/test-certificates.ts';
import type { SeededRandom } from '../programs/seeded-random.ts';
import { plainly } from './plain-policies.ts';
import { accepted, domains, farSources } from './random-policies.ts';
import { type Asked, QuestionMaker } from './random-questions.ts';
import { makeCase } from './run-differential.ts';

const SEED = Number(process.env['SEED']);
const CASES = Number(process.env['CASES'] ?? 100);
const QUESTIONS = 200;
const world = { ports: [8443, 9443], now: testNow, sources: farSources, destinations: farSources };
const trustDomains = [domains.own, domains.federated, domains.unknown];
const terms: RbacTerms = {
  trusted: trustDomains.map((trustDomain) => ({ trustDomain, accept: undefined })),
  revokedIds: [],
  revokedSerials: [],
  isBlind: false,
  tokenHeaders: [],
  proxies: [],
  jwt: { namespace: 'jwt', payloadKey: 'payload' },
};

/** A request in the words of the engine and in those of Envoy. */
interface Both {
  readonly request: AccessRequest;
  readonly facts: MatchFacts;
}

it(`never contradicts the engine, in ${CASES * QUESTIONS} decisions (SEED=${SEED})`, () => {
  const faults: string[] = [];
  const count = { decisions: 0, whole: 0, allowed: 0, certain: 0 };
  for (let number = 0; number < CASES; number++) {
    const { random, policies: made, place } = makeCase(SEED, number, world);
    const documents = number % 2 === 0 ? made : plainly(made);
    const policies = documents.map((document) =>
      policySchema.parse({ apiVersion: 'trustplane/v1', kind: 'Policy', ...document }),
    );
    const plan = compilePlan(policies, 'digest');
    const enforced = enforceAll(plan);
    const service = { spiffeId: place.id, contextExtension: place.extension };
    const layout = number % 3 === 0 ? 'flat-denies' : 'nested';
    const trees = {
      http: compileRbac({ policies, service, terms, layout, target: 'http' }),
      network: compileRbac({ policies, service, terms, layout, target: 'network' }),
    };
    const maker = new QuestionMaker(random, world);
    for (let at = 0; at < QUESTIONS; at++) {
      const asked = odd(maker.make(documents, place), random);
      const both = bothOf(asked, service);
      const compiled = both.request.http === undefined ? trees.network : trees.http;
      const decision = decide(plan, both.request);
      const draft = decide(enforced, both.request);
      count.decisions++;
      for (const fault of faultsOf(compiled, both, decision, draft, count))
        faults.push(`CASE=${number}: ${fault}: ${JSON.stringify({ asked, documents })}`);
    }
  }
  expect(faults.slice(0, 3)).toEqual([]);
  expect(count.decisions).toBe(CASES * QUESTIONS);
  // A compiler that leaves all to Check is right, and no use.
  expect(count.allowed).toBeGreaterThan(count.decisions / 100);
  expect(count.certain).toBeGreaterThan(count.decisions / 5);
  expect(count.whole).toBeGreaterThan(count.decisions / 20);
}, 120_000);

function faultsOf(
  { alone, beforeCheck, draft, shares, names }: CompiledRbac,
  { request, facts }: Both,
  decision: Decision,
  drafted: Decision,
  count: { whole: number; allowed: number; certain: number },
): readonly string[] {
  const [said, before] = [evaluateMatcher(alone, facts), evaluateMatcher(beforeCheck, facts)];
  const tried = draft && evaluateMatcher(draft, facts);
  const isAllowed = said?.action === 'ALLOW';
  const isWhole =
    shares.every(({ decidedBy }) => decidedBy === 'envoy') &&
    request.http?.target.includes(';') !== true &&
    // Lines that Envoy joined may be one, and are for Check where gRPC is asked for.
    facts.headers?.get('content-type')?.includes(',') !== true;
  if (isAllowed) count.allowed++;
  if (isWhole) count.whole++;
  if (before?.action === 'DENY') count.certain++;
  const named = before?.action === 'DENY' ? names.get(before.name) : undefined;
  const wrong = {
    'allowed alone': isAllowed && !decision.isAllowed,
    'denied alone': isWhole && !isAllowed && decision.isAllowed,
    'denied before Check': before?.action !== 'ALLOW' && decision.isAllowed,
    'denied by a rule': named !== undefined && decision.reason !== 'denied_by_rule',
    'allowed by the draft': tried?.action === 'ALLOW' && !drafted.isAllowed,
    'no draft of its own': tried === undefined && decision.isAllowed !== drafted.isAllowed,
  };
  return Object.entries(wrong).flatMap(([what, isWrong]) =>
    isWrong ? [`${what}: ${said?.name}, ${before?.name}, ${decision.reason}`] : [],
  );
}

function bothOf(asked: Asked, service: AccessRequest['service']): Both {
  const { as, http, claims, sourceIp, destinationIp, port, now } = asked;
  const caller = callerOf(as);
  const peer = { sourceIp, destinationIp, destinationPort: port };
  const headers = new Map<string, string[]>();
  for (const [name, value] of http?.lines ?? [])
    headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value]);
  return {
    request: {
      service,
      caller,
      now,
      ...peer,
      bodyBytes: 0,
      ...(http && { http: { ...http, headers: (name) => headers.get(name) ?? [] } }),
      ...(claims && { claims }),
    },
    facts: {
      ...peer,
      isMtls: as !== 'nobody',
      uriSan: as.startsWith('spiffe://') ? as : undefined,
      serial: as === 'nobody' ? '-' : 'a1',
      ...(http && {
        path: http.target.replace(/\?.*$/su, ''),
        headers: new Map([
          ...Array.from(headers, ([name, lines]) => [name, lines.join()] as const),
          [':method', http.method],
          [':authority', http.host],
        ]),
      }),
      ...(claims && { metadata: { jwt: { payload: claims } } }),
    },
  };
}

function callerOf(as: string): AccessRequest['caller'] {
  if (as === 'nobody') return 'unauthenticated';
  return as.startsWith('spiffe://') && !as.includes(',') ? SpiffeId.parse(as) : 'bad_svid';
}

/** With what is rarely sent. */
function odd(asked: Asked, random: SeededRandom): Asked {
  const { http } = asked;
  const one = <T>(values: readonly T[], other: T): T => values[random(values.length)] ?? other;
  if (random(12) === 0) return { ...asked, as: `${asked.as},${accepted.replace('/**', '/x')}` };
  if (http === undefined || random(4) !== 0) return asked;
  const [host, port] = [one(hosts, http.host), one(['', ':1', '.', '.:80'], '')];
  const [name, value] = http.lines[0] ?? ['x-role', 'x'];
  return {
    ...asked,
    http: {
      ...http,
      host: `${host}${port}`,
      method: one([http.method, http.method.toLowerCase(), 'get'], 'GET'),
      target: one([http.target, http.target, `${http.target}${long}`], http.target),
      lines: [[name, one([value, `${value}é`, 'INC-\u00ff', `${value},`], value)], ...http.lines],
    },
  };
}

const hosts = ['[::1]', '[2001:DB8::1]', '[::ffff:1.2.3.4]', 'API.example', 'a_b.api.example', '*'];
const long = `/${'a'.repeat(8_185)}`;
