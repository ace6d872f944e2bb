import { describe, expect, it } from 'vitest';
import { policyOf, WEB } from '../../../test/fakes/test-policies.ts';
import { lintPolicies } from './lint-policies.ts';

const now = Date.parse('2027-01-01T00:00:00Z');
const quiet = new Set(['policy-without-tests', 'allow-authenticated']);

/** `code path: message` of what is found. */
function lint(rules: readonly object[], more: object = {}, trustDomains?: readonly string[]) {
  return lintPolicies([policyOf(rules, more)], { now, trustDomains })
    .filter(({ code }) => !quiet.has(code))
    .map(({ code, path, message }) => `${code} ${path.join('.')}: ${message}`);
}

const allow = { allow: ['GET /v1/**'] };
const conditional = (when: object) => ({ ...allow, when });

it('finds nothing in what is fine', () => {
  expect(
    lint([{ allow: ['GET /v1/*'] }, { allow: ['POST /v1/**'], map: { 'x-user': 'source.id' } }]),
  ).toEqual([]);
});

describe('rules beside others', () => {
  it.each([
    [
      'shadowed',
      [allow, { allow: ['GET /v1/a/*'] }],
      'shadowed-rule rules.1: changes nothing: p/r0 covers all of it',
    ],
    [
      'shadowed by two',
      [{ allow: ['GET /a', 'GET /b/**'] }, { allow: ['GET /b'] }],
      'shadowed-rule rules.1: changes nothing: p/r0 covers all of it',
    ],
    [
      'dead',
      [{ allow: ['GET /v1/a'] }, { deny: ['/v1/**'] }],
      'dead-rule rules.0: allows nothing: p/r1 denies all of it',
    ],
    ['duplicate', [allow, allow], 'duplicate-rule rules.1: says the same as p/r0'],
    [
      'excepted',
      [{ ...allow, from: { ids: [WEB], except: ['spiffe://prod.example/**'] } }],
      'never-matches rules.0: matches nothing that can be sent',
    ],
    [
      'overlap',
      [allow, { deny: ['/v1/a'] }],
      `allow-meets-deny rules.0: p/r1 denies some of it: ${WEB}: GET /v1/a`,
    ],
  ])('%s', (_, rules, found) => {
    expect(lint(rules)).toContain(found);
  });

  it('does not call one of two shadowed that each have something of their own', () => {
    expect(lint([{ allow: ['GET /a/*'] }, { allow: ['GET /*/b'] }])).toEqual([]);
  });
});

describe('what can be dodged', () => {
  it.each([
    ['a header', { when: { headers: { 'x-from': ['ci'] } } }, 'header x-from'],
    ['a claim', { when: { jwt: { issuer: 'i' } } }, 'claim iss'],
    ['a query', { deny: [{ paths: ['/v1/**'], query: { debug: ['*'] } }] }, 'query key debug'],
  ])('%s', (_, more, name) => {
    expect(lint([allow, { deny: ['/v1/**'], ...more }])).toContain(
      `dodgeable-deny rules.1: whoever leaves out the ${name} is let in: ${WEB}: GET /v1`,
    );
  });

  it('is nothing where who leaves it out is not let in', () => {
    const ticket = { headers: { 'x-ticket': ['a*'] } };
    const found = lint([
      conditional(ticket),
      { deny: ['/v1/**'], when: { headers: { 'x-ticket': ['ab'] } } },
    ]);
    expect(found.join()).not.toContain('dodgeable');
  });

  it('is a connection without HTTP', () => {
    expect(lint([{ allow: [{ port: 80 }] }, { deny: ['/v1/**'] }]).join()).toContain(
      'deny-not-for-connections rules.1',
    );
  });
});

describe('headers that rules contend for', () => {
  const maps = (one: object, other: object) =>
    lint([
      { allow: ['GET /a/*'], ...one },
      { allow: ['GET /*/b'], ...other },
    ]);

  it('are shown with a request', () => {
    expect(maps({ map: { 'x-user': 'one' } }, { map: { 'x-user': 'two' } })).toEqual([
      `mapping-conflict rules.0: p/r0 and p/r1 write different values into x-user, which denies ${WEB}: GET /a/b`,
    ]);
  });

  it('are proven not to be', () => {
    expect(maps({ map: { 'x-user': 'one' } }, { map: { 'x-user': 'one' } })).toEqual([]);
    expect(
      maps({ map: { 'x-user': 'one' } }, { allow: ['POST /*/b'], map: { 'x-user': 'two' } }),
    ).toEqual([]);
  });
});

describe('what a rule shows by itself', () => {
  it.each([
    ['allow-anyone', { ...allow, from: 'anyone' }],
    ['any-trust-domain', { ...allow, from: { ids: ['spiffe://*/a'], anyTrustDomain: true } }],
    ['prefix-without-boundary', { allow: ['GET /v1*'] }],
    ['prefix-without-boundary', { ...allow, from: ['spiffe://prod.example/ns/prod*'] }],
    ['looks-like-regex', { allow: ['GET /v1/.*'] }],
    ['looks-like-regex', conditional({ headers: { a: ['[a-z]*'] } })],
    ['unusual-method', { allow: ['GTE /v1'] }],
    ['unstripped-header', conditional({ headers: { 'x-role': ['admin'] } })],
    ['expired', conditional({ time: { until: '2026-12-31T00:00:00Z' } })],
    [
      'never-matches',
      conditional({ time: { from: '2027-02-01T00:00:00Z', until: '2027-01-31T00:00:00Z' } }),
    ],
  ])('%s', (code, rule) => {
    expect(lint([rule]).join('\n')).toContain(`${code} rules.0`);
  });

  it('trust domains that are not known, where those that are were named', () => {
    const rules = [{ ...allow, from: ['spiffe://prod.exmaple/a'] }];
    expect(lint(rules)).toEqual([]);
    expect(lint(rules, {}, ['prod.example'])).toEqual([
      'unknown-trust-domain rules.0.from: prod.exmaple is neither ours nor federated',
    ]);
  });

  it('sets that nothing uses', () => {
    expect(lint([allow], { sets: { a: [WEB] } })).toEqual(['unused-set sets.a: nothing uses $a']);
  });
});

it('tells rules without test, and tests beside their rule', () => {
  const tests = [
    { as: WEB, request: 'GET /v1', expect: 'allow', rule: 'r0' },
    { as: WEB, request: 'GET /v1', expect: 'allow', rule: 'gone' },
  ];
  const rules = [allow, { allow: ['POST /v1/**'] }];
  const found = lintPolicies([policyOf(rules, { tests })], { now });
  expect(found.map(({ code, path }) => `${code} ${path.join('.')}`)).toEqual([
    'test-misses-rule tests.1',
    'rule-without-test rules.1',
  ]);
});
