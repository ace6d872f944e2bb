import { describe, expect, it } from 'vitest';
import { decideWith, policyOf, requestOf, WEB } from '../../test/fakes/test-policies.ts';
import { compilePlan } from './compile-plan.ts';
import { decide } from './decide.ts';

type Row = readonly [
  topic: string,
  rules: readonly object[],
  line: string,
  asked: Parameters<typeof requestOf>[1],
  outcome: string,
];

const allowX = { allow: ['GET /x'] };
const jwt = (claims: object) => ({
  allow: ['GET /x'],
  when: { jwt: { issuer: 'https://sso', claims } },
});
const ticket = { 'x-ticket': 'INC-*' };

const rows: readonly Row[] = [
  ['decision: a rule allows', [allowX], 'GET /x', {}, 'allowed_by_rule r0'],
  ['decision: default deny', [allowX], 'GET /y', {}, 'no_rule_matched'],
  ['decision: deny wins', [allowX, { deny: ['/x'] }], 'GET /x', {}, 'denied_by_rule r1'],
  [
    'no policy for a service',
    [allowX],
    'GET /x',
    { service: { spiffeId: 'spiffe://o/o' } },
    'policy_missing',
  ],
  ['no policy for no service', [allowX], 'GET /x', { service: {} }, 'policy_missing'],
  ['rule: from', [allowX], 'GET /x', { as: 'spiffe://prod.example/other' }, 'no_rule_matched'],
  [
    'rule: every when',
    [{ ...allowX, when: { 'source.ip': ['10.0.0.0/8'], headers: ticket } }],
    'GET /x',
    { sourceIp: '10.1.1.1' },
    'no_rule_matched',
  ],
  [
    'rule: addresses with an interface',
    [{ allow: ['/x'] }, { deny: ['/x'], when: { 'source.ip': ['fe80::/10'] } }],
    'GET /x',
    { sourceIp: 'fe80::1%2' },
    'denied_by_rule r1',
  ],
  ['lists: or', [{ allow: ['GET /a', 'GET /x'] }], 'GET /x', {}, 'allowed_by_rule r0'],
  [
    'lists: fields and',
    [{ allow: [{ methods: ['GET'], paths: ['/x'], hosts: ['a.b'] }] }],
    'GET /x',
    { host: 'c.d' },
    'no_rule_matched',
  ],
  [
    'lists: except',
    [{ ...allowX, from: { ids: ['spiffe://prod.example/**'], except: [WEB] } }],
    'GET /x',
    {},
    'no_rule_matched',
  ],
  [
    'any caller: authenticated',
    [{ ...allowX, from: 'authenticated' }],
    'GET /x',
    {},
    'allowed_by_rule r0',
  ],
  [
    'any caller: authenticated, without',
    [{ ...allowX, from: 'authenticated' }],
    'GET /x',
    { as: 'none' },
    'unauthenticated',
  ],
  [
    'any caller: anyone',
    [{ ...allowX, from: 'anyone' }],
    'GET /x',
    { as: 'none' },
    'allowed_by_rule r0',
  ],
  [
    'identity: bad (AUTHZ-3)',
    [{ ...allowX, from: 'anyone' }],
    'GET /x',
    { as: 'bad_svid' },
    'bad_svid',
  ],
  [
    'identity: unknown trust domain',
    [{ ...allowX, from: 'anyone' }],
    'GET /x',
    { as: 'unknown_trust_domain' },
    'unknown_trust_domain',
  ],
  ['identity: none (AUTHZ-5)', [allowX], 'GET /x', { as: 'none' }, 'unauthenticated'],
  [
    'identity: any trust domain',
    [{ ...allowX, from: { ids: ['spiffe://*/ns/**'], anyTrustDomain: true } }],
    'GET /x',
    {},
    'allowed_by_rule r0',
  ],
  ['missing value: host', [{ allow: [{ hosts: ['**'] }] }], 'GET /x', {}, 'no_rule_matched'],
  [
    'missing value: in a deny',
    [{ allow: ['/**'] }, { deny: ['/**'], when: { headers: ticket } }],
    'GET /x',
    {},
    'allowed_by_rule r0',
  ],
  [
    'missing value: IP',
    [{ ...allowX, when: { 'source.ip': ['0.0.0.0/0'] } }],
    'GET /x',
    {},
    'no_rule_matched',
  ],
  ['missing value: token', [jwt({ a: '*' })], 'GET /x', {}, 'no_rule_matched'],
  [
    'headers: every for allow',
    [{ ...allowX, when: { headers: ticket } }],
    'GET /x',
    { headers: { 'x-ticket': ['INC-1', 'x'] } },
    'no_rule_matched',
  ],
  [
    'headers: some if it says so',
    [{ ...allowX, when: { headers: { 'x-ticket': { pattern: 'INC-*', values: 'some' } } } }],
    'GET /x',
    { headers: { 'x-ticket': ['INC-1', 'x'] } },
    'allowed_by_rule r0',
  ],
  [
    'headers: some for deny',
    [allowX, { deny: ['/**'], when: { headers: ticket } }],
    'GET /x',
    { headers: { 'x-ticket': ['x', 'INC-1'] } },
    'denied_by_rule r1',
  ],
  [
    'headers: lines are not joined',
    [{ ...allowX, when: { headers: { 'x-ticket': 'a,b' } } }],
    'GET /x',
    { headers: { 'x-ticket': ['a', 'b'] } },
    'no_rule_matched',
  ],
  ['methods: ANY', [{ allow: ['ANY /x'] }], 'PATCH /x', {}, 'allowed_by_rule r0'],
  ['methods: case', [allowX], 'get /x', {}, 'no_rule_matched'],
  [
    'host: canonical',
    [{ allow: [{ hosts: ['a.example'] }] }],
    'GET /x',
    { host: 'A.Example.:80' },
    'allowed_by_rule r0',
  ],
  [
    'port',
    [{ allow: [{ port: 8443 }] }],
    'GET /x',
    { destinationPort: 8443 },
    'allowed_by_rule r0',
  ],
  [
    'port: another',
    [{ allow: [{ port: [8443] }] }],
    'GET /x',
    { destinationPort: 80 },
    'no_rule_matched',
  ],
  ['path: query removed', [allowX], 'GET /x?a=/y', {}, 'allowed_by_rule r0'],
  ['path: not canonical', [{ allow: ['/**'] }], 'GET /x//y', {}, 'non_canonical_path'],
  ['path: none', [{ allow: ['/**'] }], 'CONNECT ', {}, 'non_canonical_path'],
  ['query', [{ allow: [{ query: { a: '1' } }] }], 'GET /x?a=1', {}, 'allowed_by_rule r0'],
  [
    'query: every for allow',
    [{ allow: [{ query: { a: ['1'] } }] }],
    'GET /x?a=1&a=2',
    {},
    'no_rule_matched',
  ],
  [
    'query: some for deny',
    [allowX, { deny: [{ query: { a: ['1'] } }] }],
    'GET /x?a=2&%61=1',
    {},
    'denied_by_rule r1',
  ],
  [
    'methods: a deny in any case',
    [{ allow: ['/x'] }, { deny: ['DELETE /x'] }],
    'delete /x',
    {},
    'denied_by_rule r1',
  ],
  ['methods: an allow is exact', [{ allow: ['DELETE /x'] }], 'delete /x', {}, 'no_rule_matched'],
  ...[undefined, 'text/plain', 'application/grpc-web'].map(
    (type): Row => [
      `grpc: a deny holds with the content type ${type ?? '(none)'}`,
      [{ allow: ['/**'] }, { deny: [{ grpc: ['p.S/*'] }] }],
      'POST /p.S/M',
      type === undefined ? {} : { headers: { 'content-type': [type] } },
      'denied_by_rule r1',
    ],
  ),
  [
    'grpc: a deny is of calls, which are by POST',
    [{ allow: ['/**'] }, { deny: [{ grpc: ['p.S/*'] }] }],
    'GET /p.S/M',
    {},
    'allowed_by_rule r0',
  ],
  [
    'gRPC',
    [{ allow: [{ grpc: ['p.S/M'] }] }],
    'POST /p.S/M',
    { headers: { 'content-type': ['application/grpc+proto'] } },
    'allowed_by_rule r0',
  ],
  [
    'gRPC: whole service',
    [{ allow: [{ grpc: ['p.S/*'] }] }],
    'POST /p.S/M',
    { headers: { 'content-type': ['application/grpc'] } },
    'allowed_by_rule r0',
  ],
  [
    'gRPC: content type',
    [{ allow: [{ grpc: ['p.S/M'] }] }],
    'POST /p.S/M',
    { headers: { 'content-type': ['application/grpc-web'] } },
    'no_rule_matched',
  ],
  [
    'gRPC: method',
    [{ allow: [{ grpc: ['p.S/M'] }] }],
    'GET /p.S/M',
    { headers: { 'content-type': ['application/grpc'] } },
    'no_rule_matched',
  ],
  [
    'TCP: without L7 fields',
    [{ allow: [{ port: 5432 }] }],
    'tcp',
    { destinationPort: 5432 },
    'allowed_by_rule r0',
  ],
  [
    'TCP: L7 fields do not allow',
    [{ allow: [{ port: 5432, paths: ['/**'] }] }],
    'tcp',
    { destinationPort: 5432 },
    'no_rule_matched',
  ],
  [
    'TCP: a deny with L7 fields does not apply',
    [{ allow: [{ port: 1 }] }, { deny: ['/**'] }],
    'tcp',
    { destinationPort: 1 },
    'allowed_by_rule r0',
  ],
  [
    'time: from is in',
    [{ ...allowX, when: { time: { from: '2026-01-01T00:00:00Z' } } }],
    'GET /x',
    { now: Date.UTC(2026, 0) },
    'allowed_by_rule r0',
  ],
  [
    'time: until is out',
    [{ ...allowX, when: { time: { until: '2026-01-01T00:00:00Z' } } }],
    'GET /x',
    { now: Date.UTC(2026, 0) },
    'no_rule_matched',
  ],
  [
    'claims: a text',
    [jwt({ a: 'x*' })],
    'GET /x',
    { claims: { iss: 'https://sso', a: 'xy' } },
    'allowed_by_rule r0',
  ],
  [
    'claims: a list is no text',
    [jwt({ a: 'x' })],
    'GET /x',
    { claims: { iss: 'https://sso', a: ['x'] } },
    'no_rule_matched',
  ],
  [
    'claims: contains',
    [jwt({ a: { contains: 'x' } })],
    'GET /x',
    { claims: { iss: 'https://sso', a: ['y', 'x'] } },
    'allowed_by_rule r0',
  ],
  [
    'claims: another issuer',
    [jwt({ a: 'x' })],
    'GET /x',
    { claims: { iss: 'https://other', a: 'x' } },
    'no_rule_matched',
  ],
  [
    'captures: equal',
    [{ from: ['spiffe://prod.example/ns/{n}/sa/*'], allow: ['/t/{n}/**'] }],
    'GET /t/shop/1',
    {},
    'allowed_by_rule r0',
  ],
  [
    'captures: not equal',
    [{ from: ['spiffe://prod.example/ns/{n}/sa/*'], allow: ['/t/{n}/**'] }],
    'GET /t/other/1',
    {},
    'no_rule_matched',
  ],
  [
    'map: conflict',
    [
      { ...allowX, map: { 'x-user': 'a' } },
      { ...allowX, map: { 'x-user': 'b' } },
    ],
    'GET /x',
    {},
    'mapping_conflict r0',
  ],
];

describe('the table of semantics', () => {
  it.each(rows)('%s', (_, rules, line, asked, outcome) => {
    const { reason, ruleId, isAllowed } = decideWith(policyOf(rules), requestOf(line, asked));
    expect([reason, ruleId].filter(Boolean).join(' ')).toBe(outcome);
    expect(isAllowed).toBe(reason === 'allowed_by_rule');
  });
});

it('unites the policies of one service', () => {
  const other = policyOf([{ deny: ['/x/y'] }], {
    metadata: { name: 'q' },
    service: 'spiffe://prod.example/*',
  });
  const both = [policyOf([{ allow: ['/x/**'] }]), other];
  expect(decideWith(both, requestOf('GET /x/z')).reason).toBe('allowed_by_rule');
  expect(decideWith(both, requestOf('GET /x/y'))).toMatchObject({
    reason: 'denied_by_rule',
    policy: 'q',
  });
});

it('finds policies by the name that the route gives (AUTHZ-12)', () => {
  const policy = policyOf([allowX], { service: { contextExtension: 'payments' } });
  const asked = (contextExtension: string) =>
    requestOf('GET /x', { service: { contextExtension } });
  expect(decideWith(policy, asked('payments')).isAllowed).toBe(true);
  expect(decideWith(policy, asked('other')).reason).toBe('policy_missing');
});

it('allows ";" in paths only if every policy of the service does', () => {
  const lax = { request: { path: { matrixParameters: 'allow' } } };
  const one = policyOf([{ allow: ['/*'] }], lax);
  expect(decideWith(one, requestOf('GET /a;b')).isAllowed).toBe(true);
  const other = policyOf([allowX], { metadata: { name: 'q' } });
  expect(decideWith([one, other], requestOf('GET /a;b')).reason).toBe('non_canonical_path');
  const wide = { metadata: { name: 'r' }, service: 'spiffe://prod.example/*' };
  const third = policyOf([allowX], wide);
  expect(decideWith([one, third], requestOf('GET /a;b')).reason).toBe('non_canonical_path');
});

describe('stages', () => {
  it('only observes', () => {
    const policy = policyOf([allowX], { mode: { stage: 'observe' } });
    const decision = decideWith(policy, requestOf('GET /x'));
    expect(decision).toMatchObject({ reason: 'no_rule_matched', observed: ['p/r0'] });
  });

  it('enforces for a share of the callers, and for each always alike', () => {
    const policy = policyOf([{ ...allowX, from: 'authenticated' }], {
      mode: { stage: 'canary', percent: 30 },
    });
    const plan = compilePlan([policy], '');
    const allowed = (at: number) =>
      decide(plan, requestOf('GET /x', { as: `spiffe://prod.example/${at}` })).isAllowed;
    const callers = Array.from({ length: 1_000 }, (_, at) => at);
    const share = callers.filter(allowed);
    expect(share.length).toBeGreaterThan(200);
    expect(share.length).toBeLessThan(400);
    expect(share.every(allowed)).toBe(true);
  });
});

it('denies when it fails itself', () => {
  const request = requestOf('GET /x');
  const http = {
    method: 'GET',
    target: '/x',
    headers: () => {
      throw new Error('gone');
    },
  };
  const policy = policyOf([{ ...allowX, when: { headers: { a: '*' } } }]);
  expect(decideWith(policy, { ...request, http })).toMatchObject({
    isAllowed: false,
    reason: 'internal_error',
  });
});

it('names the set of policies', () => {
  expect(decideWith(policyOf([allowX]), requestOf('GET /x')).policyDigest).toBe('digest');
});
