import { describe, expect, it } from 'vitest';
import { IdScope, TrustDomain } from '../../spiffe/index.ts';
import { policySchema } from '../policy-schema.ts';
import { compileRbac } from './compile-rbac.ts';
import { evaluateMatcher, type MatchFacts } from './evaluate-matcher.ts';
import type { CompiledRbac, RbacOptions, RbacTerms } from './rbac-options.ts';

const SERVICE = 'spiffe://prod.example/ns/ledger/sa/api';
const web = 'spiffe://prod.example/ns/shop/sa/web';
const plainTerms: RbacTerms = {
  trusted: [{ trustDomain: 'prod.example', accept: undefined }],
  revokedIds: [],
  revokedSerials: [],
  isBlind: false,
  tokenHeaders: [],
  proxies: [],
  jwt: { namespace: 'jwt', payloadKey: 'payload' },
};

interface Asked extends Omit<MatchFacts, 'isMtls' | 'headers' | 'uriSan'> {
  readonly as?: string | undefined;
  readonly method?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly claims?: Readonly<Record<string, unknown>>;
}

function factsOf({
  as = web,
  method = 'GET',
  host = 'a',
  headers,
  claims,
  ...rest
}: Asked): MatchFacts {
  return {
    uriSan: as === 'nobody' ? undefined : as,
    isMtls: as !== 'nobody',
    serial: as === 'nobody' ? '-' : 'a1',
    path: '/v1/x',
    headers: new Map([...Object.entries(headers ?? {}), [':method', method], [':authority', host]]),
    ...(claims && { metadata: { jwt: { payload: claims } } }),
    ...rest,
  };
}

function compile(
  rules: readonly object[],
  more: object = {},
  options: Partial<RbacOptions> = {},
): CompiledRbac {
  const policy = policySchema.parse({
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'p' },
    service: SERVICE,
    rules,
    ...more,
  });
  return compileRbac({
    policies: [policy],
    service: { spiffeId: SERVICE },
    target: 'http',
    layout: 'nested',
    terms: plainTerms,
    ...options,
  });
}

/** The names of what decides alone and before Check. */
function said(compiled: CompiledRbac, asked: Asked): readonly (string | undefined)[] {
  const facts = factsOf(asked);
  return [compiled.alone, compiled.beforeCheck].map((tree) => evaluateMatcher(tree, facts)?.name);
}

/** `allow`: by the rule r alone. */
function isAllowed(compiled: CompiledRbac, asked: Asked): boolean {
  const found = evaluateMatcher(compiled.alone, factsOf(asked));
  return found?.action === 'ALLOW' && found.name === 'r';
}

const any = { id: 'r', from: [web] };
const ids = (...from: readonly string[]) => ({ id: 'r', from, allow: ['/v1/x'] });

describe('an allow that Envoy decides', () => {
  const cases: readonly (readonly [
    what: string,
    rule: object,
    yes: readonly Asked[],
    no: readonly Asked[],
  ])[] = [
    ['an ID', ids(web), [{}], [{ as: `${web}2` }, { as: `${web}/x` }, { as: 'nobody' }]],
    [
      'a glob of IDs',
      ids('spiffe://prod.example/ns/*/sa/w*'),
      [{}],
      [{ as: 'spiffe://prod.example/ns/a/b/sa/web' }, { as: 'spiffe://prod.example/ns/a/sa/w' }],
    ],
    [
      'all IDs below',
      ids('spiffe://prod.example/ns/shop/**'),
      [{}, { as: 'spiffe://prod.example/ns/shop' }],
      [{ as: 'spiffe://prod.example/ns/shop2/sa/web' }],
    ],
    [
      'an exception',
      { ...ids(), from: { ids: ['spiffe://prod.example/ns/**'], except: [`${web}*`] } },
      [{}],
      [{ as: `${web}2` }, { as: 'nobody' }],
    ],
    [
      'authenticated',
      { ...any, from: 'authenticated', allow: ['/v1/x'] },
      [{}],
      [{ as: 'nobody' }],
    ],
    [
      'anyone',
      { ...any, from: 'anyone', allow: ['/v1/x'] },
      [{}, { as: 'nobody' }],
      [{ as: 'https://prod.example/x' }, { as: undefined, uriSan: undefined } as Asked],
    ],
    ['a method', { ...any, allow: ['GET /v1/x'] }, [{}], [{ method: 'get' }, { method: 'POST' }]],
    [
      'a path',
      { ...any, allow: ['/v1/x'] },
      [{}],
      [{ path: '/v1/x/' }, { path: '/v1/X' }, { path: '/v1/xy' }],
    ],
    [
      'all paths below',
      { ...any, allow: ['/v1/**'] },
      [{}, { path: '/v1' }, { path: '/v1/' }],
      [{ path: '/v10' }, { path: '/' }],
    ],
    [
      'a glob of paths',
      { ...any, allow: ['/v1/a*z/**'] },
      [{ path: '/v1/abz' }, { path: '/v1/a%20z/q/r' }],
      [{ path: '/v1/az' }, { path: '/v1/a/z' }],
    ],
    [
      'captures that say nothing',
      { ...any, from: ['spiffe://prod.example/ns/{ns}/sa/*'], allow: ['/{version}/x'] },
      [{}],
      [{ path: '/v1/y' }, { path: '/a/v1/x' }],
    ],
    [
      'gRPC',
      { ...any, allow: [{ grpc: ['a.B/Get'] }] },
      [{ method: 'POST', path: '/a.B/Get', headers: { 'content-type': 'application/GRPC+proto' } }],
      [
        { method: 'POST', path: '/a.B/Get' },
        { method: 'POST', path: '/a.B/Get', headers: { 'content-type': 'application/grpcx' } },
      ],
    ],
    [
      'a host',
      { ...any, allow: [{ hosts: ['*.api.example'] }] },
      [{ host: 'a.API.example.:80' }],
      [{ host: 'a.b.api.example' }, { host: 'api.example' }, { host: 'a.api.example.evil' }],
    ],
    [
      'hosts below',
      { ...any, allow: [{ hosts: ['**.api.example'] }] },
      [{ host: 'api.example' }, { host: 'a.b.api.example' }],
      [{ host: 'xapi.example' }],
    ],
    ['any host', { ...any, allow: [{ hosts: ['**'] }] }, [{}, { host: '[::1]:80' }], []],
    [
      'a port',
      { ...any, allow: [{ port: [1, 2] }] },
      [{ destinationPort: 2 }],
      [{ destinationPort: 12 }, {}],
    ],
    [
      'a source',
      { ...any, allow: ['/v1/x'], when: { 'source.ip': ['10.8.0.0/16', '::/64'] } },
      [{ sourceIp: '10.8.1.1' }, { sourceIp: '::1' }],
      [{ sourceIp: '10.9.0.1' }, {}],
    ],
    [
      'a destination',
      { ...any, allow: ['/v1/x'], when: { 'destination.ip': ['::1'] } },
      [{ destinationIp: '::1' }],
      [{ destinationIp: '::2' }],
    ],
    [
      'claims',
      {
        ...any,
        allow: ['/v1/x'],
        when: { jwt: { issuer: 'i', claims: { sub: 'a*', groups: { contains: 'g' } } } },
      },
      [{ claims: { iss: 'i', sub: 'ab\n', groups: ['f', 'g'] } }],
      [
        { claims: { iss: 'j', sub: 'ab', groups: ['g'] } },
        { claims: { iss: 'i', sub: 'a', groups: ['g'] } },
        { claims: { iss: 'i', sub: 'ab', groups: 'g' } },
        {},
      ],
    ],
  ];
  it.each(cases)('%s', (_, rule, yes, no) => {
    for (const layout of ['nested', 'flat-denies'] as const) {
      const compiled = compile([rule], {}, { layout });
      expect(compiled.shares).toEqual([
        { policy: 'p', rule: 'r', effect: 'allow', decidedBy: 'envoy', why: undefined },
      ]);
      expect(yes.map((asked) => isAllowed(compiled, asked))).toEqual(yes.map(() => true));
      expect(no.map((asked) => isAllowed(compiled, asked))).toEqual(no.map(() => false));
    }
  });
});

describe('an allow of which Envoy decides nothing, or a part', () => {
  const tenants = 'spiffe://prod.example/ns/{t}/sa/*';
  const cases: readonly (readonly [
    what: string,
    rule: object,
    why: RegExp,
    part: Asked | undefined,
  ])[] = [
    ['a query', { ...any, allow: [{ paths: ['/v1/x'], query: { q: 'a' } }] }, /quer/u, undefined],
    [
      'time',
      { ...any, allow: ['/v1/x'], when: { time: { until: '2100-01-01T00:00:00Z' } } },
      /clock/u,
      undefined,
    ],
    [
      'captures that are equal',
      { ...any, from: [tenants, web], allow: ['/v1/{t}'] },
      /captures/u,
      {},
    ],
    [
      'tokens',
      { ...any, from: { ids: [web], credentials: ['jwt-svid'] }, allow: ['/v1/x'] },
      /token/u,
      undefined,
    ],
    [
      'headers',
      { ...any, allow: ['/v1/x'], when: { headers: { 'x-role': 'a*' } } },
      /commas/u,
      { headers: { 'x-role': 'ab' } },
    ],
    [
      'the header host',
      { ...any, allow: ['/v1/x'], when: { headers: { host: 'a' } } },
      /host/u,
      undefined,
    ],
    ['IPv6 hosts', { ...any, allow: [{ hosts: ['*.*'] }] }, /IPv6/u, { host: 'a.b' }],
  ];
  it.each(cases)('%s', (_, rule, why, part) => {
    const compiled = compile([rule]);
    const decidedBy = part === undefined ? 'check' : 'both';
    expect(compiled.shares).toMatchObject([{ decidedBy, why: expect.stringMatching(why) }]);
    expect(part !== undefined && isAllowed(compiled, part)).toBe(part !== undefined);
    expect(said(compiled, { headers: { 'x-role': 'ab,ac' } })[1]).toBe('ask_check');
  });

  it('is said where nothing comes of it, whoever decides', () => {
    const network = compile(
      [ids(web), { ...ids(web), id: 's', allow: [{ port: 1 }] }],
      {},
      { target: 'network' },
    );
    expect(network.shares).toMatchObject([
      { rule: 'r', decidedBy: 'envoy', why: expect.stringContaining('asks for HTTP') },
      { rule: 's', decidedBy: 'envoy', why: undefined },
    ]);
    const observed = compile([ids(web)], { mode: { stage: 'observe' } });
    expect(observed.shares).toMatchObject([
      { decidedBy: 'envoy', why: expect.stringContaining('in the draft alone') },
    ]);
  });

  it('is masked by a deny that Check decides, by name', () => {
    const deny = { id: 'd', from: 'anyone', deny: [{ paths: ['/v1/**'], query: { q: 'x' } }] };
    const compiled = compile([ids(web), deny, { ...ids(web), id: 'other', allow: ['/v2'] }]);
    expect(compiled.shares).toMatchObject([
      { rule: 'd', decidedBy: 'check' },
      { rule: 'other', decidedBy: 'envoy' },
      { rule: 'r', decidedBy: 'both', why: expect.stringContaining('p/d') },
    ]);
    expect(said(compiled, {})).toEqual(['ask_check', 'ask_check']);
    expect(said(compiled, { path: '/v2' })).toEqual(['other', 'ask_check']);
  });
});

describe('a deny', () => {
  const deny = (more: object) => [
    { id: 'all', from: 'anyone', allow: ['/**'] },
    { id: 'd', from: 'anyone', ...more },
  ];
  it('takes methods in any case and calls of any content type', () => {
    const compiled = compile(deny({ deny: ['DELETE /v1/x', { grpc: ['a.B/*'] }] }));
    expect(said(compiled, { method: 'delete' })).toEqual(['d', 'd']);
    expect(said(compiled, { method: 'POST', path: '/a.B/Get' })).toEqual(['d', 'd']);
    expect(said(compiled, {})).toEqual(['all', 'ask_check']);
  });

  it('is no way around by another line of a header', () => {
    const compiled = compile(deny({ deny: ['/**'], when: { headers: { 'x-role': 'a*' } } }));
    expect(said(compiled, { headers: { 'x-role': 'ab' } })).toEqual(['d', 'd']);
    for (const value of ['b,ab', 'b,c', 'é'])
      expect(said(compiled, { headers: { 'x-role': value } })).toEqual(['ask_check', 'ask_check']);
    expect(said(compiled, { headers: { 'x-role': 'b' } })).toEqual(['all', 'ask_check']);
  });

  it('holds for a link-local address with a zone, which Envoy cannot read', () => {
    const compiled = compile(deny({ deny: ['/**'], when: { 'source.ip': ['fe80::/10'] } }));
    expect(said(compiled, { sourceIp: 'fe80::1%2' })).toEqual(['ask_check', 'ask_check']);
    expect(said(compiled, { sourceIp: 'fe80::1' })).toEqual(['d', 'd']);
    expect(said(compiled, { sourceIp: '10.0.0.1' })).toEqual(['all', 'ask_check']);
  });

  it('holds where an Envoy does not tell where connections come from', () => {
    const compiled = compile(deny({ deny: ['/**'], when: { 'source.ip': ['10.0.0.0/8'] } }));
    expect(said(compiled, {})).toEqual(['ask_check', 'ask_check']);
  });
});

describe('stages', () => {
  const rule = {
    id: 'r',
    from: [web, `${web}2`, 'spiffe://prod.example/ns/cart/**'],
    allow: ['/**'],
  };
  it('a canary has its exact callers, and those of patterns are for Check', () => {
    const compiled = compile([rule], { mode: { stage: 'canary', percent: 50 } });
    const names = [web, `${web}2`, 'spiffe://prod.example/ns/cart/x'].map(
      (as) => said(compiled, { as })[0],
    );
    expect(names).toContain('r');
    expect(names[2]).toBe('no_rule_matched');
    expect(compiled.shares).toMatchObject([{ decidedBy: 'both' }]);
    expect(
      compiled.draft && evaluateMatcher(compiled.draft, factsOf({ as: `${web}2` }))?.name,
    ).toBe('r');
  });

  it('what is only observed allows and denies in the draft alone', () => {
    const denies = { id: 'd', from: [web], deny: ['/v1/x'] };
    const compiled = compile([rule, denies], { mode: { stage: 'observe' } });
    expect(said(compiled, {})).toEqual(['no_rule_matched', 'ask_check']);
    expect(compiled.draft && evaluateMatcher(compiled.draft, factsOf({}))?.name).toBe('d');
  });

  it('what may be promoted is for Check', () => {
    const mode = { stage: 'observe', promoteAfter: { decisions: 1, disagreements: 0 } };
    const compiled = compile([rule], { mode });
    expect(said(compiled, {})).toEqual(['no_rule_matched', 'ask_check']);
    expect(compiled.shares).toMatchObject([{ why: expect.stringContaining('promoteAfter') }]);
  });
});

describe('guards', () => {
  const all = [{ id: 'r', from: 'anyone', allow: ['/**'] }];
  const id = (length: number): string => `spiffe://prod.example/${'a'.repeat(length - 22)}`;
  const cases: readonly (readonly [reason: string, asked: readonly Asked[]])[] = [
    [
      'bad_svid',
      [
        `${web},${web}`,
        'spiffe://prod.example',
        'spiffe://prod.example/a/../b',
        'https://prod.example/x',
        `${web}/`,
        id(2049),
      ].map((as) => ({ as })),
    ],
    [
      'unknown_trust_domain',
      [{ as: 'spiffe://other.example/x' }, { as: 'spiffe://prodxexample/x' }],
    ],
    [
      'non_canonical_path',
      [
        '/a//b',
        '/a/./b',
        '/a/..',
        '/..;/a',
        '/a;b',
        '/a\\b',
        '/a#b',
        '/%2f',
        '/%41',
        '/%00',
        '/%',
        '/%g0',
        'a',
        '',
        '/é',
        '/a\n',
        `/${'a'.repeat(8192)}`,
      ].map((path) => ({ path })),
    ],
    ['non_canonical_path', [{ path: undefined }]],
    ['non_canonical_host', ['a,b', 'x@a', 'a:1:2', 'a..', ':80', '*'].map((host) => ({ host }))],
  ];
  it.each(cases)('%s', (reason, asked) => {
    for (const one of asked) expect(said(compile(all), one)).toEqual([reason, reason]);
  });

  it('let through what is at the edge', () => {
    const fit = [
      { as: id(2048) },
      { as: 'nobody' },
      { host: '' },
      ...['/', '/a/', '/...', '/.a', '/%C3%a9', `/${'a'.repeat(8191)}`].map((path) => ({ path })),
    ];
    for (const asked of fit) expect(said(compile(all), asked)).toEqual(['r', 'ask_check']);
  });

  it('leave to Check what Envoy cannot tell', () => {
    const terms = {
      ...plainTerms,
      trusted: undefined,
      revokedIds: [`${web}2`],
      revokedSerials: ['bad'],
      tokenHeaders: ['authorization'],
      proxies: ['spiffe://prod.example/gateway/*'],
    };
    const compiled = compile(all, { request: { path: { matrixParameters: 'allow' } } }, { terms });
    expect(said(compiled, { as: 'spiffe://other.example/x' })).toEqual(['r', 'ask_check']);
    expect(said(compiled, { as: `${web}2` })).toEqual(['revoked', 'ask_check']);
    expect(said(compiled, { serial: 'bad' })).toEqual(['revoked', 'ask_check']);
    const unclear: readonly Asked[] = [
      { serial: '-' },
      { headers: { authorization: '' } },
      { as: 'spiffe://prod.example/gateway/1' },
      { path: '/a;b/c' },
    ];
    for (const asked of unclear) expect(said(compiled, asked)).toEqual(['ask_check', 'ask_check']);
  });

  it('know the scopes of a trust domain', () => {
    const domain = TrustDomain.parse('prod.example');
    const accept = ['spiffe://prod.example/ns/shop/**', 'spiffe://prod.example/x'].map((text) =>
      IdScope.parse(text, domain),
    );
    const terms = { ...plainTerms, trusted: [{ trustDomain: 'prod.example', accept }] };
    const compiled = compile(all, {}, { terms });
    for (const path of ['ns/shop', 'ns/shop/sa/web', 'x'])
      expect(said(compiled, { as: `spiffe://prod.example/${path}` })[0]).toBe('r');
    for (const path of ['ns/shop2', 'x/y', 'ns'])
      expect(said(compiled, { as: `spiffe://prod.example/${path}` })[0]).toBe(
        'unknown_trust_domain',
      );
  });
});

describe('a service', () => {
  const rule = ids(web);
  it('without policies denies everything', () => {
    const { alone, beforeCheck } = compile([rule], {}, { service: { contextExtension: 'x' } });
    for (const tree of [alone, beforeCheck])
      expect(tree).toEqual({ kind: 'action', name: 'policy_missing', action: 'DENY' });
  });

  it.each([
    ['map', [{ ...rule, map: { 'x-user': 'source.id' } }], {}, plainTerms],
    ['maxBytes', [rule], { request: { body: { maxBytes: 1 } } }, plainTerms],
    ['revoked', [rule], {}, { ...plainTerms, isBlind: true }],
  ])('is allowed nothing by Envoy for %s', (why, rules, more, terms) => {
    const compiled = compile(rules, more, { terms });
    expect(said(compiled, {})).toEqual(['ask_check', 'ask_check']);
    expect(compiled.shares).toMatchObject([
      { decidedBy: 'check', why: expect.stringContaining(why) },
    ]);
  });

  it('has names for rules that are no reasons and no other rules', () => {
    const named = (name: string, ...rules: readonly string[]) =>
      policySchema.parse({
        apiVersion: 'trustplane/v1',
        kind: 'Policy',
        metadata: { name },
        service: SERVICE,
        rules: rules.map((id) => ({ ...rule, id })),
      });
    const policies = [named('b', 'same', 'bad_svid'), named('a', 'same', 'own')];
    const { names } = compileRbac({
      policies,
      service: { spiffeId: SERVICE },
      target: 'http',
      layout: 'nested',
      terms: plainTerms,
    });
    expect([...names.keys()]).toEqual(['own', 'a/same', 'b/bad_svid', 'b/same'].sort(byPolicy));
    expect(names.get('own')).toEqual({ policy: 'a', rule: 'own' });
  });

  it('of connections has the rules that ask for nothing of HTTP', () => {
    const rules = [
      { id: 'tcp', from: [web], allow: [{ port: 1 }] },
      { id: 'r', from: [web], allow: ['/**'] },
      { id: 'd', from: [`${web}2`], deny: ['/**'] },
    ];
    const { alone } = compile(rules, { request: { body: { maxBytes: 1 } } }, { target: 'network' });
    const connection = (as: string, destinationPort: number): string | undefined =>
      evaluateMatcher(alone, { uriSan: as, isMtls: true, destinationPort, serial: 'a1' })?.name;
    expect(connection(web, 1)).toBe('tcp');
    expect(connection(web, 2)).toBe('no_rule_matched');
    expect(connection(`${web}2`, 1)).toBe('no_rule_matched');
  });

  it('with more rules than an Envoy is given is refused', () => {
    const rules = Array.from({ length: 50_001 }, (_, at) => ({ ...rule, id: `r${at}` }));
    expect(() => compile(rules)).toThrow(expect.objectContaining({ code: 'ERR_RBAC_LIMIT' }));
  });
});

/** As policies are sorted. */
function byPolicy(one: string, other: string): number {
  const key = (name: string): string => (name === 'own' ? 'a/own' : name);
  return key(one) < key(other) ? -1 : 1;
}
