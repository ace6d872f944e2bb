import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BroadcastOverlay } from '../../src/node/broadcast-overlay.ts';
import { type Bundle, emptyBundle, TrustDomain } from '../../src/spiffe/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeTrustMap } from '../fakes/fake-trust-map.ts';

const clock = new FakeClock();
const names = ['own.test', 'b.test', 'c.test'] as const;

function bundle(name: string, sequence: number): Bundle {
  return { ...emptyBundle(TrustDomain.parse(name)), sequenceNumber: BigInt(sequence) };
}

const sequence = fc.integer({ min: 0, max: 12 });
/** What the servers say, by domain; -1: they do not list it (the own one is always listed). */
const told = fc.tuple(sequence, ...[1, 2].map(() => fc.integer({ min: -1, max: 12 })));
const step = fc.oneof(
  fc.record({ told }),
  fc.record({ name: fc.constantFrom(...names), heard: sequence }),
);

it('shows the domains the servers list, never below what they told or above what was heard, and keeps what it shows', () => {
  fc.assert(
    fc.property(told, fc.array(step, { maxLength: 40 }), (first, steps) => {
      const servers = new FakeTrustMap(bundle('own.test', first[0] ?? 0));
      const say = (sequences: readonly number[]): void => {
        const [own = bundle('own.test', 0), ...foreign] = names
          .map((name, n) => bundle(name, sequences[n] ?? -1))
          .filter(({ sequenceNumber = -1n }) => sequenceNumber >= 0n);
        servers.set(own, ...foreign);
      };
      say(first);
      const kept = new Map<string, Bundle>();
      const heard = new Map<string, number>();
      const overlay = new BroadcastOverlay({
        told: servers,
        clock,
        restored: [],
        onHeard: ({ name }, one) => (one === undefined ? kept.delete(name) : kept.set(name, one)),
      });
      for (const each of steps) {
        if ('told' in each) say(each.told);
        else {
          heard.set(each.name, Math.max(each.heard, heard.get(each.name) ?? -1));
          overlay.hear(bundle(each.name, each.heard));
        }
        const now = overlay.current();
        const base = servers.current();
        expect([...now.federated.keys()]).toEqual([...base.federated.keys()]);
        for (const name of names) {
          const shown = name === 'own.test' ? now.own : now.federated.get(name);
          const said = name === 'own.test' ? base.own : base.federated.get(name);
          const number = shown?.sequenceNumber ?? -1n;
          expect(number >= (said?.sequenceNumber ?? -1n)).toBe(true);
          expect(shown === said || number <= BigInt(heard.get(name) ?? -1)).toBe(true);
          expect(kept.get(name)?.sequenceNumber).toBe(shown === said ? undefined : number);
        }
        // A process that starts now with what was kept shows the same.
        const again = new BroadcastOverlay({
          told: servers,
          clock,
          restored: [...kept.values()],
          onHeard: () => {},
        });
        expect(again.current()).toEqual(now);
        again.close();
      }
    }),
    { numRuns: 300 },
  );
});
