import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { numberedBundle, testRevocation } from '../../test/fakes/sync-world.ts';
import type { Facts } from './facts.ts';
import { LapsingFacts } from './lapsing-facts.ts';

const facts: Facts = {
  trust: {
    own: numberedBundle('a.test', 1),
    federated: new Map([['b.test', numberedBundle('b.test', 1)]]),
    terms: new Map(),
  },
  revocations: [testRevocation('r')],
};

function open() {
  const clock = new FakeClock();
  let heardAt = clock.now();
  let tells = 0;
  const lapsing = new LapsingFacts({
    source: { current: () => facts, watch: () => () => {} },
    ageMs: () => clock.now() - heardAt,
    maxAgeMs: 60_000,
    clock,
  });
  lapsing.watch(() => void tells++);
  return { clock, lapsing, tells: () => tells, hear: () => void (heardAt = clock.now()) };
}

describe('facts that nobody confirms', () => {
  it('are good for as long as they may be', () => {
    const { clock, lapsing, tells } = open();
    clock.advance(60_000);
    expect(lapsing.current()).toBe(facts);
    expect(tells()).toBe(0);
  });

  it('lose every key after that, and nothing else', () => {
    const { clock, lapsing, tells } = open();
    clock.advance(61_000);
    const { trust, revocations } = lapsing.current() ?? facts;
    expect(trust.own).toMatchObject({ x509Authorities: [], sequenceNumber: undefined });
    expect(trust.federated.size).toBe(0);
    expect(revocations).toBe(facts.revocations);
    expect(lapsing.current()).toBe(lapsing.current());
    expect(tells()).toBe(1);
  });

  it('are good again when they are confirmed', () => {
    const { clock, lapsing, hear, tells } = open();
    clock.advance(90_000);
    hear();
    clock.advance(1_000);
    expect(lapsing.current()).toBe(facts);
    expect(tells()).toBe(2);
  });
});
