import { describe, expect, it } from 'vitest';
import { policyOf, requestOf, WEB } from '../../test/fakes/test-policies.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { compilePlan } from './compile-plan.ts';
import { decideEither } from './decide-either.ts';

const JOB = 'spiffe://prod.example/job';

function decided(rules: readonly object[], tokenId = JOB, as: string = WEB) {
  const plan = compilePlan([policyOf(rules)], 'digest');
  const tokenCaller = tokenId === 'none' ? undefined : SpiffeId.parse(tokenId);
  const { decision, callerId } = decideEither(plan, {
    ...requestOf('GET /x', { as }),
    tokenCaller,
  });
  return { ...decision, headers: Object.fromEntries(decision.headers), callerId };
}

const byToken = (more: object = {}) => ({
  from: { ids: [JOB], credentials: ['jwt-svid'] },
  allow: ['GET /x'],
  ...more,
});

describe('a caller with a certificate and a token', () => {
  it('is allowed by a rule for either, each by its own credential (AUTHZ-16)', () => {
    expect(decided([byToken()])).toMatchObject({ reason: 'allowed_by_rule', callerId: JOB });
    expect(decided([byToken()], 'none').reason).toBe('no_rule_matched');
    expect(decided([{ allow: ['GET /x'] }])).toMatchObject({ isAllowed: true, callerId: WEB });
    const other = { from: [JOB], allow: ['GET /x'] };
    expect(decided([other]).reason).toBe('no_rule_matched');
    const webByToken = { from: { ids: [WEB], credentials: ['jwt-svid'] }, allow: ['GET /x'] };
    expect(decided([webByToken]).reason).toBe('no_rule_matched');
  });

  it('is denied by a deny for either', () => {
    const allow = [{ allow: ['GET /x'] }, byToken()];
    expect(decided(allow).isAllowed).toBe(true);
    expect(decided([...allow, { from: [JOB], deny: ['/x'] }]).reason).toBe('denied_by_rule');
    expect(decided([...allow, { deny: ['/x'] }]).reason).toBe('denied_by_rule');
    const onlyMtls = { from: { ids: [JOB], credentials: ['x509-svid'] }, deny: ['/x'] };
    expect(decided([...allow, onlyMtls]).isAllowed).toBe(true);
  });

  it('is written into headers as the one that the rule means, and must not differ in one', () => {
    const webs = { allow: ['GET /x'], map: { 'x-peer': 'source.id' } };
    const jobs = byToken({ map: { 'x-user': 'source.id' } });
    const both = decided([webs, jobs]);
    expect(both.headers).toEqual({ 'x-peer': WEB, 'x-user': JOB });
    expect(both.removedHeaders).toEqual(['x_peer', 'x_user']);
    expect(decided([jobs]).headers).toEqual({ 'x-user': JOB });
    expect(decided([webs, jobs], 'none').removedHeaders).toContain('x-user');
    const same = byToken({ map: { 'x-peer': 'source.id' } });
    expect(decided([webs, same])).toMatchObject({ isAllowed: false, reason: 'mapping_conflict' });
    const sameId = { ...same, from: { ids: [WEB], credentials: ['jwt-svid'] } };
    expect(decided([webs, sameId], WEB).headers).toEqual({ 'x-peer': WEB });
  });

  it('is asserted as one of them, or not at all', () => {
    const asserted = { map: { 'x-assertion': 'assertion' } };
    const plain = { allow: ['GET /x'] };
    expect(decided([plain, byToken(asserted)])).toMatchObject({
      assertedHeaders: ['x-assertion'],
      callerId: JOB,
    });
    expect(decided([{ ...plain, ...asserted }, byToken()]).callerId).toBe(WEB);
    const both = [{ ...plain, ...asserted }, byToken(asserted)];
    expect(decided(both)).toMatchObject({ reason: 'mapping_conflict', assertedHeaders: [] });
  });

  it('is decided as one where the certificate is not good', () => {
    expect(decided([byToken()], JOB, 'bad_svid').reason).toBe('bad_svid');
  });
});
