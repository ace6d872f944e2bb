import { describe, expect, it } from 'vitest';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import { numberedBundle, testRevocation } from '../../test/fakes/sync-world.ts';
import type { Revocation } from '../spiffe/index.ts';
import { joinFacts } from './host-facts.ts';

function open() {
  const trust = new FakeTrustMap(numberedBundle('a.test', 1));
  const listeners = new Set<() => void>();
  let list: readonly Revocation[] = [];
  const revocations = {
    list: () => list,
    watch: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const revoke = (id: string): void => {
    list = [...list, testRevocation(id)];
    for (const listener of listeners) listener();
  };
  return { trust, revocations, revoke, listeners };
}

describe('the facts of a host', () => {
  it('are the same object until a part of them changes', () => {
    const { trust, revocations, revoke } = open();
    const facts = joinFacts({ trust, revocations });
    const first = facts.current();
    expect(facts.current()).toBe(first);
    revoke('r');
    expect(facts.current()).toMatchObject({ trust: first?.trust, revocations: [{ id: 'r' }] });
    trust.set(numberedBundle('a.test', 2));
    expect(facts.current()?.trust.own.sequenceNumber).toBe(2n);
  });

  it('tell of each change of a part, until nobody listens', () => {
    const { trust, revocations, revoke, listeners } = open();
    let tells = 0;
    const stop = joinFacts({ trust, revocations }).watch(() => void tells++);
    revoke('r');
    trust.set(numberedBundle('a.test', 2));
    expect(tells).toBe(2);
    stop();
    revoke('s');
    expect([tells, listeners.size, trust.listeners]).toEqual([2, 0, 0]);
  });

  it('are none before all was told: a bundle alone would let in who was revoked', () => {
    const { trust, revocations, revoke, listeners } = open();
    let isComplete = false;
    const watch = revocations.watch;
    const facts = joinFacts({
      trust,
      revocations,
      completeness: { isComplete: () => isComplete, watch },
    });
    let tells = 0;
    facts.watch(() => void tells++);
    expect([facts.current(), listeners.size]).toEqual([undefined, 1]);
    isComplete = true;
    revoke('r');
    expect(tells).toBe(1);
    expect(facts.current()?.revocations).toHaveLength(1);
  });

  it('are of no revocation where none are known', () => {
    const { trust } = open();
    expect(joinFacts({ trust }).current()).toMatchObject({ revocations: [], policies: undefined });
  });
});
