import { describe, expect, it } from 'vitest';
import { policyOf } from '../../../test/fakes/test-policies.ts';
import { checkAssertions } from './check-assertions.ts';

const never = (from: readonly string[], to: readonly string[]) => ({ never: { from, to } });
const only = (from: readonly string[], to: readonly string[]) => ({ only: { from, to } });
const check = (assertion: object, ...rules: readonly object[]) =>
  checkAssertions([policyOf(rules, { assert: [assertion] })]).map(({ message }) => message);

const dev = never(['spiffe://dev.example/**'], ['/v1/**']);

describe('never', () => {
  it('holds where no rule is for those callers', () => {
    expect(check(dev, { allow: ['/v1/**'] })).toEqual([]);
  });

  it('shows who is allowed what, and by which rule', () => {
    expect(
      check(dev, { from: ['spiffe://dev.example/ns/*'], allow: ['GET /v1/charges/*'] }),
    ).toEqual([
      'never: does not hold: spiffe://dev.example/ns/a: GET /v1/charges/a is allowed by p/r0',
    ]);
  });

  it('counts what is denied, and finds the gap a deny leaves', () => {
    const allow = { from: 'authenticated', allow: ['/v1/**'] };
    expect(check(dev, allow, { from: ['spiffe://dev.example/**'], deny: ['/v1/**'] })).toEqual([]);
    expect(check(dev, allow, { from: ['spiffe://dev.example/*/**'], deny: ['/v1/**'] })).toEqual([
      'never: does not hold: spiffe://dev.example: GET /v1 is allowed by p/r0',
    ]);
    expect(check(dev, allow, { from: ['spiffe://dev.example/**'], deny: ['/v1/*'] })).toEqual([
      'never: does not hold: spiffe://dev.example: GET /v1 is allowed by p/r0',
    ]);
  });

  it('tries every credential where an allow is for anyone', () => {
    const byCertificate = { ids: ['spiffe://dev.example/**'], credentials: ['x509-svid'] };
    expect(
      check(dev, { from: 'anyone', allow: ['/v1/**'] }, { from: byCertificate, deny: ['/v1/**'] }),
    ).toHaveLength(1);
  });

  it('compares captures', () => {
    const own = { from: ['spiffe://dev.example/{t}'], allow: ['/v1/{t}'] };
    expect(check(never(['spiffe://dev.example/x'], ['/v1/y']), own)).toEqual([]);
    expect(check(never(['spiffe://dev.example/x'], ['/v1/*']), own)).toEqual([
      'never: does not hold: spiffe://dev.example/x: GET /v1/x is allowed by p/r0',
    ]);
  });
});

describe('captures', () => {
  const from = ['spiffe://d/*'];

  it('that must be equal in a deny leave those that are not', () => {
    const deny = { from: ['spiffe://d/{t}'], deny: ['/v1/{t}'] };
    expect(check(never(from, ['/v1/*']), { from, allow: ['/v1/*'] }, deny)).toEqual([
      'never: does not hold: spiffe://d/a: GET /v1/b is allowed by p/r0',
    ]);
    expect(check(never(['spiffe://d/x'], ['/v1/x']), { from, allow: ['/v1/*'] }, deny)).toEqual([]);
  });

  it('are compared for every class of callers, though a rule that tells them apart is out', () => {
    const own = { from: ['spiffe://d/{t}'], allow: ['GET /{t}'] };
    const other = { from: ['spiffe://d/a'], allow: ['POST /x'] };
    expect(check(never(from, ['GET /a']), own, other)).toEqual([
      'never: does not hold: spiffe://d/a: GET /a is allowed by p/r0',
    ]);
  });
});

describe('only', () => {
  const sre = only(['spiffe://prod.example/ns/sre/**'], ['PUT /v1/**']);

  it('holds where nobody else is allowed', () => {
    expect(check(sre, { from: ['spiffe://prod.example/ns/sre/a'], allow: ['/v1/**'] })).toEqual([]);
    expect(check(sre, { from: 'authenticated', allow: ['GET /v1/**'] })).toEqual([]);
  });

  it('shows another, one without identity too', () => {
    expect(check(sre, { from: ['spiffe://prod.example/ns/**'], allow: ['/v1/**'] })).toEqual([
      'only: does not hold: spiffe://prod.example/ns: PUT /v1 is allowed by p/r0',
    ]);
    expect(
      check(sre, { from: 'anyone', allow: ['/v1/x'], when: { 'source.ip': ['10.0.0.0/8'] } }),
    ).toEqual(['only: does not hold: spiffe://a: PUT /v1/x, ip 10.0.0.0 is allowed by p/r0']);
  });
});

it('is refused where it cannot be proven', () => {
  const policy = policyOf([{ from: 'authenticated', allow: ['/v1/**'] }], { assert: [dev] });
  expect(checkAssertions([policy], 10)).toEqual([
    { policy: 'p', path: ['assert', 0], message: expect.stringContaining('too complex to prove') },
  ]);
});
