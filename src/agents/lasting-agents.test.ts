import { describe, expect, it } from 'vitest';
import { parseSelector, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import type { AttestedAgent } from './agent.ts';
import { agentKey, decodeAgentRecord, encodeAgentRecord } from './agent-record.ts';
import { encodeJoinToken } from './join-token-record.ts';
import { lastingAgents, lastingTokens } from './lasting-agents.ts';

const trustDomain = TrustDomain.parse('a.test');
const id = SpiffeId.parse('spiffe://a.test/spire/agent/test/x');
const key = agentKey(id);
const rule = lastingAgents(trustDomain);
const svid = (serialNumber: string) => ({ serialNumber, expiresAt: 9, keyDigest: 'k'.repeat(43) });
const agent = (part: Partial<AttestedAgent>): AttestedAgent => ({
  id,
  attestationType: 'test',
  selectors: [parseSelector('test:a')],
  svid: svid('5'),
  renewedSvid: undefined,
  banned: false,
  canReattest: true,
  agentVersion: '',
  attestedAt: 100,
  ...part,
});

/** What is written where it is not known which is later. */
function joined(known: AttestedAgent, stored: AttestedAgent | undefined) {
  const value = rule.join(key, encodeAgentRecord(known), stored && encodeAgentRecord(stored));
  return value && decodeAgentRecord(key, value, trustDomain);
}

describe('of two records of an agent', () => {
  it('a ban holds, also where nothing is stored', () => {
    const banned = agent({ banned: true });
    expect(joined(banned, agent({}))).toEqual(banned);
    expect(joined(banned, agent({ svid: svid('6') }))).toEqual(
      agent({ svid: svid('6'), banned: true }),
    );
    expect(joined(banned, undefined)).toEqual(banned);
    expect(joined(agent({}), banned)).toBeUndefined();
  });

  it('a ban does not hold against an agent that was evicted and attested later', () => {
    expect(joined(agent({ banned: true }), agent({ attestedAt: 200 }))).toBeUndefined();
  });

  it('the later SVID holds, and one in use ends the one before it', () => {
    const later = agent({ svid: svid('ff') });
    expect(joined(later, agent({}))).toEqual(later);
    expect(joined(agent({}), later)).toBeUndefined();
    const renewed = agent({ renewedSvid: svid('ff') });
    expect(joined(later, renewed)).toEqual(later);
    expect(joined(renewed, later)).toBeUndefined();
  });

  it('nothing is made of one that is not banned where none is stored', () => {
    expect(joined(agent({}), undefined)).toBeUndefined();
  });
});

describe('of two records of a token', () => {
  const token = (isSpent: boolean) =>
    encodeJoinToken({ expiresAt: 500, agentId: undefined, isSpent });

  it('the spent one holds until the token has expired', () => {
    expect(lastingTokens.join('t', token(true), token(false))).toEqual(token(true));
    expect(lastingTokens.join('t', token(true), undefined)).toEqual(token(true));
    expect(lastingTokens.join('t', token(true), token(true))).toBeUndefined();
    expect(lastingTokens.join('t', token(false), undefined)).toBeUndefined();
    expect(lastingTokens.endOf('t', token(true))).toBe(500);
  });
});
