import fc from 'fast-check';
import { expect, it } from 'vitest';
import { analyseRules, branchesOf, usesTokens } from '../../src/authz/analysis/analysed-rules.ts';
import { Budget } from '../../src/authz/analysis/budget.ts';
import { checkAssertions } from '../../src/authz/analysis/check-assertions.ts';
import { explore } from '../../src/authz/analysis/explore.ts';
import { witnessOf } from '../../src/authz/analysis/witness.ts';
import {
  type AccessRequest,
  compilePlan,
  decide,
  type Plan,
  type Policy,
} from '../../src/authz/index.ts';
import { SpiffeId } from '../../src/spiffe/index.ts';
import { policyOf } from '../fakes/test-policies.ts';

const td = 'spiffe://d';
const SERVICE = { spiffeId: 'spiffe://prod.example/api' };
const ids = [
  `${td}/a`,
  `${td}/a/b`,
  `${td}/*`,
  `${td}/a*`,
  `${td}/*b/*`,
  `${td}/**`,
  `${td}/a/**`,
  `${td}/{x}/b`,
  `${td}/{x}`,
  `${td}/{x}/{y}`,
  `${td}/{x}/{x}`,
  'spiffe://*/a',
];
const paths = [
  '/',
  '/a',
  '/a/b',
  '/*',
  '/a*',
  '/*a*b',
  '/a/*',
  '/**',
  '/a/**',
  '/{x}',
  '/{x}/**',
  '/{y}/{x}',
  '/a/',
  '/{x}/b',
];
const hosts = ['a.b', '*.b', '**.b', '{x}.b', '**', 'a*.b'];
const values = ['a', 'a*', '*b', '*'];
const from = (list: readonly string[], max: number) =>
  fc.subarray([...list], { minLength: 1, maxLength: max });
const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      {
        methods: fc.constantFrom(['GET'], ['POST', 'GET'], ['ANY']),
        paths: from(paths, 2),
        hosts: from(hosts, 2),
        port: fc.constantFrom(80, [80, 81]),
        query: fc.record({ q: from(values, 2) }),
      },
      { requiredKeys: ['paths'] },
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom({ port: 80 }, { grpc: ['a/b'] }, { methods: ['GET'] }) },
);
const when = fc.record(
  {
    headers: fc.record({
      h: fc.oneof(
        from(values, 2),
        fc.record({ pattern: from(values, 2), values: fc.constantFrom('every', 'some') }),
      ),
    }),
    jwt: fc.record({
      issuer: fc.constantFrom('i', 'j'),
      claims: fc.record({ c: fc.oneof(from(values, 2), fc.record({ contains: from(values, 2) })) }),
    }),
    'source.ip': from(['10.0.0.0/8', '10.1.0.0/16', '::/0', 'fd00::/8'], 2),
    time: fc.constantFrom({ from: '2026-01-01T00:00:00Z' }, { until: '2026-06-01T00:00:00Z' }),
  },
  { requiredKeys: [] },
);
const rule = fc
  .record({
    from: fc.oneof(
      fc.constantFrom('authenticated', 'anyone'),
      fc.record(
        {
          ids: from(ids, 3),
          except: from([`${td}/a`, `${td}/*`, `${td}/a*`], 2),
          credentials: fc.constantFrom(['jwt-svid'], ['x509-svid', 'jwt-svid']),
          anyTrustDomain: fc.constant(true),
        },
        { requiredKeys: ['ids', 'anyTrustDomain'] },
      ),
    ),
    operations: fc.array(operation, { minLength: 1, maxLength: 2 }),
    isAllow: fc.boolean(),
    when: fc.option(when, { nil: undefined }),
  })
  .map(({ from: who, operations, isAllow, when: conditions }) => ({
    from: who,
    [isAllow ? 'allow' : 'deny']: operations,
    ...(conditions !== undefined && Object.keys(conditions).length > 0 && { when: conditions }),
  }));

const text = fc.constantFrom('a', 'b', 'ab', 'x');
const lines = fc.array(text, { maxLength: 2 });
const request: fc.Arbitrary<AccessRequest> = fc
  .record({
    as: fc.option(
      fc
        .array(text, { maxLength: 3 })
        .chain((list) =>
          fc.constantFrom('d', 'e').map((name) => ['spiffe:/', name, ...list].join('/')),
        ),
    ),
    credential: fc.constantFrom('x509-svid' as const, 'jwt-svid' as const),
    method: fc.option(fc.constantFrom('GET', 'POST', 'PUT'), { freq: 8 }),
    path: fc.array(text, { maxLength: 3 }).map((list) => `/${list.join('/')}`),
    slash: fc.boolean(),
    q: lines,
    h: lines,
    type: fc.constantFrom([], ['application/grpc']),
    host: fc.option(fc.array(text, { minLength: 1, maxLength: 3 }).map((list) => list.join('.'))),
    ip: fc.constantFrom(undefined, '10.1.1.1', '10.2.1.1', '9.9.9.9', 'fd00::1', '1::'),
    port: fc.constantFrom(undefined, 80, 81, 82),
    claims: fc.constantFrom(
      undefined,
      {},
      ...['i', 'j'].flatMap((iss) =>
        ['a', 'ab', ['b'], ['a', 'b'], 3, undefined].map((c) => ({ iss, c })),
      ),
    ),
    now: fc.constantFrom(
      Date.parse('2025-12-01T00:00:00Z'),
      Date.parse('2026-02-01T00:00:00Z'),
      Date.parse('2026-07-01T00:00:00Z'),
    ),
  })
  .map(({ as, credential, method, path, slash, q, h, type, host, ip, port, claims, now }) => ({
    service: SERVICE,
    caller: as === null ? ('unauthenticated' as const) : SpiffeId.parse(as),
    credential,
    http:
      method === null
        ? undefined
        : {
            method,
            target: `${path}${slash && path !== '/' ? '/' : ''}${q.length === 0 ? '' : `?${q.map((one) => `q=${one}`).join('&')}`}`,
            host: host ?? undefined,
            headers: (name) => (name === 'h' ? h : name === 'content-type' ? type : []),
          },
    sourceIp: ip,
    destinationPort: port,
    claims,
    now,
  }));

/** A plan of each rule alone, which tells whether it matches. */
function plansOf(rules: readonly object[]): Plan[] {
  return rules.map((one) => compilePlan([policyOf([one])], ''));
}

function matchedBy(plans: readonly Plan[], asked: AccessRequest): string {
  return plans
    .flatMap((plan, at) =>
      ['allowed_by_rule', 'denied_by_rule', 'mapping_conflict'].includes(decide(plan, asked).reason)
        ? [at]
        : [],
    )
    .join();
}

function classesOf(policy: Policy, withTokens?: boolean) {
  const rules = analyseRules([policy]);
  const found = new Map<string, AccessRequest>();
  explore({
    branches: branchesOf(rules),
    budget: new Budget(100_000_000),
    usesTokens: withTokens ?? usesTokens(rules),
    visit: ({ live, draft }) => {
      const key = [...new Set(live.map((branch) => branch.rule))].sort((a, b) => a - b).join();
      if (!found.has(key)) found.set(key, witnessOf(draft(), SERVICE).request);
      return false;
    },
  });
  return found;
}

it('divides requests into classes of which each has a witness, and which no request is outside of', () => {
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 1, maxLength: 5 }),
      fc.array(request, { minLength: 50, maxLength: 50 }),
      (rules, requests) => {
        const plans = plansOf(rules);
        const classes = classesOf(policyOf(rules), true);
        for (const [key, witness] of classes) expect(matchedBy(plans, witness)).toBe(key);
        for (const one of requests) expect(classes.has(matchedBy(plans, one))).toBe(true);
      },
    ),
    { numRuns: 150 },
  );
}, 60_000);
