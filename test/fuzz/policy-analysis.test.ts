import fc from 'fast-check';
import { expect, it } from 'vitest';
import { analyseRules, branchesOf, usesTokens } from '../../src/authz/analysis/analysed-rules.ts';
import { Budget } from '../../src/authz/analysis/budget.ts';
import { checkAssertions } from '../../src/authz/analysis/check-assertions.ts';
import { diffPolicies } from '../../src/authz/analysis/diff-policies.ts';
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
  { weight: 4, arbitrary: from(paths, 2).map((some) => ({ paths: some })) },
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
    when: fc.option(when, { nil: undefined, freq: 1 }),
  })
  .map(({ from: who, operations, isAllow, when: conditions }) => ({
    from: who,
    [isAllow ? 'allow' : 'deny']: operations,
    ...(conditions !== undefined && Object.keys(conditions).length > 0 && { when: conditions }),
  }));

const text = fc.constantFrom('a', 'a', 'b', 'ab', 'x');
const lines = fc.array(text, { maxLength: 2 });
const request: fc.Arbitrary<AccessRequest> = fc
  .record({
    as: fc.option(
      fc
        .array(text, { maxLength: 3 })
        .chain((list) =>
          fc.constantFrom('d', 'd', 'd', 'e').map((name) => ['spiffe:/', name, ...list].join('/')),
        ),
    ),
    credential: fc.constantFrom('x509-svid' as const, 'x509-svid' as const, 'jwt-svid' as const),
    method: fc.option(fc.constantFrom('GET', 'GET', 'POST', 'PUT'), { freq: 8 }),
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
      Date.parse('2026-01-01T00:00:00Z'),
      Date.parse('2026-06-01T00:00:00Z'),
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

/** Rules that differ in little but captures. */
const captured = fc
  .record({
    ids: from([`${td}/{x}`, `${td}/{x}/{y}`, `${td}/{x}/{x}`, `${td}/a/{y}`, `${td}/*`], 2),
    paths: from(['/{x}', '/{y}', '/{x}/{y}', '/{y}/{x}', '/{x}/{x}', '/a/{x}', '/a'], 2),
    hosts: fc.option(from(['{x}.b', '{y}.{x}', '**'], 1), { nil: undefined }),
    isAllow: fc.boolean(),
  })
  .map(({ ids: who, isAllow, ...what }) => ({ from: who, [isAllow ? 'allow' : 'deny']: [what] }));
/** Rules that differ in nothing but conditions. */
const conditional = fc
  .record({ when, isAllow: fc.boolean() })
  .filter(({ when: one }) => Object.keys(one).length > 0)
  .map((one) => ({ from: 'anyone', [one.isAllow ? 'allow' : 'deny']: ['/**'], when: one.when }));
const named = request.filter(
  ({ caller, http }) => typeof caller !== 'string' && http?.host !== undefined,
);

it.each([
  ['of all kinds', rule, request],
  ['with captures', captured, named],
  ['with conditions', conditional, request.filter(({ http }) => http !== undefined)],
] as const)(
  'divides requests into classes of which each has a witness, and which no request is outside of: rules %s',
  (_, rules, requests) => {
    fc.assert(
      fc.property(
        fc.array<object>(rules, { minLength: 1, maxLength: 4 }),
        fc.array(requests, { minLength: 50, maxLength: 50 }),
        (some, asked) => {
          const alone = plansOf(some);
          const classes = classesOf(policyOf(some), true);
          for (const [key, witness] of classes) expect(matchedBy(alone, witness)).toBe(key);
          for (const one of asked) expect([...classes.keys()]).toContain(matchedBy(alone, one));
        },
      ),
      { numRuns: 100 },
    );
  },
  60_000,
);

const plans = new WeakMap<Policy, Plan>();
function isAllowed(policy: Policy, asked: AccessRequest): boolean {
  const plan = plans.get(policy) ?? compilePlan([policy], '');
  plans.set(policy, plan);
  return decide(plan, asked).isAllowed;
}

it('finds no difference between a set and itself', () => {
  fc.assert(
    fc.property(fc.array(rule, { minLength: 1, maxLength: 5 }), (rules) => {
      expect(diffPolicies([policyOf(rules)], [policyOf(rules)])).toEqual({
        changes: [],
        settings: [],
        terms: [],
      });
    }),
    { numRuns: 30 },
  );
});

const canary = fc.constantFrom(
  undefined,
  undefined,
  { stage: 'canary', percent: 30 },
  { stage: 'observe' },
);

it('finds every difference, and shows it by a request', () => {
  let differing = 0;
  fc.assert(
    fc.property(
      fc.array(rule, { minLength: 1, maxLength: 4 }),
      fc.array(rule, { minLength: 1, maxLength: 3 }),
      fc.nat(3),
      canary,
      canary,
      fc.array(request, { minLength: 40, maxLength: 40 }),
      (rules, others, kept, mode, otherMode, requests) => {
        const before = policyOf(rules, { mode });
        const after = policyOf([...rules.slice(0, kept), ...others], { mode: otherMode });
        const { changes } = diffPolicies([before], [after]);
        for (const { kind, witness } of changes) {
          expect(isAllowed(before, witness.request)).toBe(kind === 'narrowed');
          expect(isAllowed(after, witness.request)).toBe(kind === 'widened');
        }
        const kinds = new Set(changes.map(({ kind }) => kind));
        for (const one of requests) {
          const [was, is] = [isAllowed(before, one), isAllowed(after, one)];
          if (was === is) continue;
          differing += 1;
          expect(kinds).toContain(is ? 'widened' : 'narrowed');
        }
      },
    ),
    { numRuns: 60 },
  );
  expect(differing).toBeGreaterThan(10);
}, 60_000);

it('decides assertions as trying all requests of a small world does', () => {
  const callers = [
    'spiffe://d',
    `${td}/a`,
    `${td}/b`,
    `${td}/ab`,
    `${td}/a/b`,
    `${td}/b/b`,
    `${td}/b/a`,
    'spiffe://e/a',
  ];
  const world = [undefined, ...callers].flatMap((as) =>
    ['GET', 'POST', 'PUT'].flatMap((method) =>
      ['/', '/a', '/ab', '/b', '/a/', '/a/b', '/b/a', '/b/b'].flatMap((target) =>
        (['x509-svid', 'jwt-svid'] as const).map(
          (credential): AccessRequest => ({
            service: SERVICE,
            caller: as === undefined ? 'unauthenticated' : SpiffeId.parse(as),
            credential,
            http: { method, target, headers: () => [] },
            now: 0,
          }),
        ),
      ),
    ),
  );
  const verdicts = { holds: 0, fails: 0 };
  const plain = rule.filter((one) => !('when' in one));
  fc.assert(
    fc.property(
      fc.array(plain, { minLength: 1, maxLength: 4 }),
      fc.constantFrom('never', 'only'),
      from([`${td}/a`, `${td}/*`, `${td}/a/**`, `${td}/**`], 2),
      from(['/a', 'GET /**', '/a/*', 'POST /*'], 2),
      (rules, kind, who, to) => {
        const policy = policyOf(rules, { assert: [{ [kind]: { from: who, to } }] });
        // The assertion itself, as a policy that allows what it is about.
        const about = policyOf([{ from: who, allow: to }]);
        const does = policyOf([{ from: 'anyone', allow: to }]);
        const isMeant = (asked: AccessRequest): boolean =>
          kind === 'never'
            ? isAllowed(about, { ...asked, credential: 'x509-svid' })
            : isAllowed(does, asked) && !isAllowed(about, { ...asked, credential: 'x509-svid' });
        const [complaint] = checkAssertions([policy]);
        const plan = compilePlan([policy], '');
        const wrong = world.filter((asked) => isMeant(asked) && decide(plan, asked).isAllowed);
        verdicts[complaint === undefined ? 'holds' : 'fails'] += 1;
        expect(complaint === undefined ? wrong : []).toEqual([]);
        const shown = complaint?.witness?.request;
        expect(shown === undefined).toBe(complaint === undefined);
        expect(shown === undefined || isAllowed(policy, shown)).toBe(true);
        expect(shown === undefined || isMeant({ ...shown, credential: 'x509-svid' })).toBe(true);
      },
    ),
    { numRuns: 150 },
  );
  expect(Math.min(verdicts.holds, verdicts.fails)).toBeGreaterThan(10);
}, 60_000);
