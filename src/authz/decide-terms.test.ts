import { describe, expect, it } from 'vitest';
import { decideWith, policyOf, requestOf, WEB } from '../../test/fakes/test-policies.ts';
import { compilePlan } from './compile-plan.ts';
import { decide } from './decide.ts';
import { promotePolicies } from './stages.ts';

const allowX = { allow: ['GET /x'] };
const jwtSvid = { credential: 'jwt-svid' } as const;
const named = (name: string, more: object = {}) => ({ metadata: { name }, ...more });

describe('credentials', () => {
  const from = (credentials: readonly string[]) => ({ ids: [WEB], credentials });

  it.each([
    ['a list of IDs takes an X509-SVID', allowX, {}, 'allowed_by_rule'],
    ['a list of IDs takes no JWT-SVID', allowX, jwtSvid, 'no_rule_matched'],
    [
      'authenticated takes no JWT-SVID',
      { ...allowX, from: 'authenticated' },
      jwtSvid,
      'no_rule_matched',
    ],
    ['anyone is anyone', { ...allowX, from: 'anyone' }, jwtSvid, 'allowed_by_rule'],
    [
      'a JWT-SVID that is listed',
      { ...allowX, from: from(['jwt-svid']) },
      jwtSvid,
      'allowed_by_rule',
    ],
    ['an X509-SVID that is not', { ...allowX, from: from(['jwt-svid']) }, {}, 'no_rule_matched'],
    ['both', { ...allowX, from: from(['x509-svid', 'jwt-svid']) }, jwtSvid, 'allowed_by_rule'],
  ])('%s (AUTHZ-16)', (_, rule, asked, reason) => {
    expect(decideWith(policyOf([rule]), requestOf('GET /x', asked)).reason).toBe(reason);
  });

  it.each([
    ['whatever shows the ID', { deny: ['/x'] }, jwtSvid, 'denied_by_rule'],
    ['whatever shows any ID', { deny: ['/x'], from: 'authenticated' }, jwtSvid, 'denied_by_rule'],
    ['only what it lists', { deny: ['/x'], from: from(['x509-svid']) }, jwtSvid, 'allowed_by_rule'],
  ])('a deny holds for %s', (_, rule, asked, reason) => {
    const policy = policyOf([{ ...allowX, from: 'anyone' }, rule]);
    expect(decideWith(policy, requestOf('GET /x', asked)).reason).toBe(reason);
  });
});

describe('the size of a body', () => {
  const bound = (maxBytes: number) => ({ request: { body: { maxBytes } } });

  it.each([
    [0, 0, 'allowed_by_rule'],
    [0, 1, 'body_too_large'],
    [0, undefined, 'body_too_large'],
    [10, 10, 'allowed_by_rule'],
    [10, 11, 'body_too_large'],
    [10, undefined, 'body_too_large'],
  ])('is at most %j: %j is %s', (maxBytes, bodyBytes, reason) => {
    const policy = policyOf([allowX], bound(maxBytes));
    expect(decideWith(policy, requestOf('GET /x', { bodyBytes })).reason).toBe(reason);
  });

  it('is any without a bound, and does not matter to a connection', () => {
    expect(decideWith(policyOf([allowX]), requestOf('GET /x')).isAllowed).toBe(true);
    const tcp = policyOf([{ allow: [{ port: 1 }] }], bound(0));
    expect(decideWith(tcp, requestOf('tcp', { destinationPort: 1 })).isAllowed).toBe(true);
  });

  it('has the smallest bound of all policies of the service', () => {
    const all = [
      policyOf([allowX], named('a', bound(10))),
      policyOf([allowX], named('b', { ...bound(5), service: 'spiffe://prod.example/*' })),
      policyOf([allowX], named('c')),
    ];
    const reasonOf = (bodyBytes: number) =>
      decideWith(all, requestOf('GET /x', { bodyBytes })).reason;
    expect([5, 6].map(reasonOf)).toEqual(['allowed_by_rule', 'body_too_large']);
  });
});

describe('what a caller that is denied is told', () => {
  const tell = (deny: object) => ({ response: { deny } });

  it('is as the policy says, whatever the reason, and nothing when it is allowed', () => {
    const policy = policyOf([allowX], tell({ status: 429, body: 'none' }));
    const told = { status: 429, body: 'none' };
    for (const line of ['GET /y', 'GET /x//y'])
      expect(decideWith(policy, requestOf(line)).deniedResponse).toEqual(told);
    expect(decideWith(policy, requestOf('GET /x', { as: 'none' })).deniedResponse).toEqual(told);
    expect(decideWith(policy, requestOf('GET /x')).deniedResponse).toBeUndefined();
    expect(decideWith(policyOf([allowX]), requestOf('GET /y')).deniedResponse).toBeUndefined();
  });

  it.each([
    [[{ status: 503 }, { status: 429, body: 'none' }], { status: 429, body: 'none' }],
    [
      [
        { status: 401, body: 'none' },
        { status: 403, body: 'problem+json' },
      ],
      { status: 403, body: 'none' },
    ],
    [[{ body: 'problem+json' }, {}], { status: undefined, body: 'problem+json' }],
  ])('is the strictest of several policies: %j', (denies, told) => {
    const all = denies.map((deny, at) => policyOf([allowX], named(`p${at}`, tell(deny))));
    for (const order of [all, all.toReversed()])
      expect(decideWith(order, requestOf('GET /y')).deniedResponse).toEqual(told);
  });
});

describe('log', () => {
  const logged = { ...allowX, log: 'always' };

  it.each([
    ['of a rule that matched', [logged], {}, 'always'],
    ['of one that another outdid', [logged, { deny: ['/x'] }], {}, 'always'],
    ['of one that is observed', [logged], { mode: { stage: 'observe' } }, 'always'],
    [
      'of none',
      [
        { ...logged, log: 'sampled' },
        { ...logged, allow: ['/y'] },
      ],
      {},
      undefined,
    ],
  ])('is %s', (_, rules, more, log) => {
    expect(decideWith(policyOf(rules, more), requestOf('GET /x')).log).toBe(log);
  });
});

describe('signed assertions', () => {
  it('have headers of their own, which are not removed', () => {
    const policy = policyOf([
      { ...allowX, map: { 'x-id': 'assertion', 'x-user': 'u' } },
      { allow: ['/y'] },
    ]);
    expect(decideWith(policy, requestOf('GET /x'))).toMatchObject({
      assertedHeaders: ['x-id'],
      headers: new Map([['x-user', 'u']]),
      removedHeaders: ['x_id', 'x_user'],
    });
    expect(decideWith(policy, requestOf('GET /y'))).toMatchObject({
      assertedHeaders: [],
      removedHeaders: ['x-id', 'x-user', 'x_id', 'x_user'],
    });
  });

  it('conflict with anything else in the same header', () => {
    const policy = policyOf([
      { ...allowX, map: { 'x-id': 'assertion' } },
      { ...allowX, map: { 'x-id': 'source.id' } },
    ]);
    expect(decideWith(policy, requestOf('GET /x')).reason).toBe('mapping_conflict');
  });
});

describe('policies that are tried', () => {
  const observed = { mode: { stage: 'observe', promoteAfter: { decisions: 2, disagreements: 0 } } };
  const live = policyOf([allowX], named('live'));

  it('say nothing where none of their rules matches', () => {
    const decision = decideWith(
      [live, policyOf([{ deny: ['/y'] }], observed)],
      requestOf('GET /x'),
    );
    expect(decision).not.toHaveProperty('shadow');
    expect(decision).not.toHaveProperty('staged');
  });

  it('say what it would be with all of them, and whether each changes it', () => {
    const all = [
      live,
      policyOf([{ deny: ['/x'] }], named('strict', observed)),
      policyOf([allowX], named('same', observed)),
    ];
    const decision = decideWith(all, requestOf('GET /x'));
    expect(decision).toMatchObject({
      reason: 'allowed_by_rule',
      policy: 'live',
      observed: ['same/r0', 'strict/r0'],
      shadow: { isAllowed: false, ruleId: 'r0' },
      staged: [
        { policy: 'same', isChanged: false, promoteAfter: { decisions: 2, disagreements: 0 } },
        { policy: 'strict', isChanged: true },
      ],
    });
  });

  it('change it by a header too, and in the share of the canary as outside of it', () => {
    const mapped = { ...allowX, map: { 'x-user': 'u' } };
    for (const percent of [0, 100]) {
      const canary = policyOf([mapped], named('canary', { mode: { stage: 'canary', percent } }));
      expect(decideWith([live, canary], requestOf('GET /x')).staged).toMatchObject([
        { policy: 'canary', isChanged: true },
      ]);
    }
  });

  it('are enforced once they are promoted, until they are edited', () => {
    const strict = (path: string) => policyOf([{ deny: [path] }], named('strict', observed));
    const plan = compilePlan([live, strict('/x')], '');
    const staged = decide(plan, requestOf('GET /x')).staged ?? [];
    expect(decide(promotePolicies(plan, staged), requestOf('GET /x'))).toMatchObject({
      reason: 'denied_by_rule',
      observed: [],
    });
    const edited = promotePolicies(compilePlan([live, strict('/**')], ''), staged);
    expect(decide(edited, requestOf('GET /x')).reason).toBe('allowed_by_rule');
  });
});
