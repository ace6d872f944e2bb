import { describe, expect, it } from 'vitest';
import { type Revocation, SpiffeId } from '../spiffe/index.ts';
import { AgentRevocations } from './agent-revocations.ts';

const web = SpiffeId.parse('spiffe://a.test/web');
const agentId = SpiffeId.parse('spiffe://a.test/spire/agent/x509pop/host');

function revocation(fields: Pick<Revocation, 'kind' | 'value'>): Revocation {
  return { ...fields, id: fields.value, issuedBefore: 10, expiresAt: 20, reason: 'for a test' };
}

/** Facts that a test sets. */
function createFacts() {
  const listeners = new Set<() => void>();
  const source = {
    facts: { revocations: [] as readonly Revocation[] },
    watchAll(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(revocations: readonly Revocation[]) {
      source.facts = { revocations };
      for (const listener of listeners) listener();
    },
    listeners,
  };
  return source;
}

describe('what an agent was told is revoked', () => {
  it('is found, by the agent itself too, and told of when it changes only', () => {
    const source = createFacts();
    const revocations = new AgentRevocations(source, () => agentId);
    let news = 0;
    revocations.watch(() => news++);
    const byId = revocation({ kind: 'spiffe-id', value: web.toString() });
    source.set([byId]);
    source.set([byId]);
    expect(news).toBe(1);
    expect(revocations.find({ spiffeId: web, issuedAt: 9 })).toBe(byId);
    expect(revocations.find({ spiffeId: web, issuedAt: 10 })).toBeUndefined();
    const byAgent = revocation({ kind: 'agent', value: agentId.toString() });
    source.set([byAgent]);
    expect(revocations.find({ spiffeId: web, issuedAt: 9 })).toBe(byAgent);
    source.set([]);
    expect(revocations.find({ spiffeId: web, issuedAt: 9 })).toBeUndefined();
    expect(news).toBe(3);
    revocations.close();
    expect(source.listeners.size).toBe(0);
  });
});
