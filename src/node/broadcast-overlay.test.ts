import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import {
  bundleOf,
  makeAuthority,
  type TestCertificate,
} from '../../test/fakes/test-certificates.ts';
import { type Bundle, TrustDomain, type TrustMap } from '../spiffe/index.ts';
import { BroadcastOverlay } from './broadcast-overlay.ts';
import { NodeFacts } from './node-facts.ts';

const own = TrustDomain.parse('own.test');
const roots: readonly TestCertificate[] = await Promise.all(
  Array.from({ length: 4 }, () => makeAuthority()),
);

/** The bundle that a domain had when it had changed so many times. */
function bundle(name: string, sequence: number | undefined): Bundle {
  const root = roots[(sequence ?? 0) % roots.length];
  if (root === undefined) throw new Error('there are roots');
  const sequenceNumber = sequence === undefined ? undefined : BigInt(sequence);
  return { ...bundleOf(name, root), sequenceNumber };
}

/** An overlay over what a server tells, and what it keeps. */
class World {
  readonly kept = new Map<string, bigint | undefined>();
  readonly told: NodeFacts = new NodeFacts(own, undefined);
  readonly seen: TrustMap[] = [];
  readonly clock = new FakeClock();
  readonly overlay: BroadcastOverlay;

  constructor(told: readonly Bundle[], restored: readonly Bundle[] = []) {
    this.tell(...told);
    this.overlay = new BroadcastOverlay({
      told: this.told,
      restored,
      clock: this.clock,
      onHeard: ({ name }, heard) => void this.kept.set(name, heard?.sequenceNumber),
    });
    this.overlay.watch((map) => void this.seen.push(map));
  }

  /** Of the own domain first. */
  tell(ownBundle?: Bundle, ...foreign: readonly Bundle[]): void {
    if (ownBundle === undefined) return;
    const federated = new Map(foreign.map((one) => [one.trustDomain.name, one]));
    const trust = { own: ownBundle, federated, terms: new Map() };
    this.told.set({ entries: new Map(), trust, revocations: [] });
  }

  /** Sequence numbers, own first. */
  get now(): (bigint | undefined)[] {
    const map = this.overlay.current();
    return [map.own, ...map.federated.values()].map(({ sequenceNumber }) => sequenceNumber);
  }
}

const isReplay: unknown = expect.objectContaining({ code: 'ERR_BUNDLE_MESSAGE_REPLAY' });

it('shows what was told until something later is heard', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  expect(world.overlay.current()).toBe(world.told.current());
  world.overlay.hear(bundle('b.test', 8));
  world.overlay.hear(bundle('own.test', 6));
  expect(world.now).toEqual([6n, 8n]);
  expect(world.seen).toHaveLength(2);
  expect(world.overlay.ahead).toBe(2);
});

it.each([6, 7])('has no use for sequence %i where 7 was told', (sequence) => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  world.overlay.hear(bundle('b.test', sequence));
  expect([world.now, world.seen, world.kept.size]).toEqual([[5n, 7n], [], 0]);
});

it('goes back to no earlier bundle than it heard', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  world.overlay.hear(bundle('b.test', 9));
  world.overlay.hear(bundle('b.test', 8));
  expect(world.now).toEqual([5n, 9n]);
});

it('trusts no domain that the servers do not list, and none any more that they take away', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  world.overlay.hear(bundle('c.test', 1));
  expect(world.now).toEqual([5n, 7n]);
  world.overlay.hear(bundle('b.test', 8));
  world.tell(bundle('own.test', 5));
  expect([world.now, world.kept]).toEqual([[5n], new Map([['b.test', undefined]])]);
  // Nor does it come back by itself.
  world.tell(bundle('own.test', 5), bundle('b.test', 7));
  expect(world.now).toEqual([5n, 7n]);
});

it('gives way to servers that are as far, and stays ahead of those that are not', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  world.overlay.hear(bundle('b.test', 9));
  world.tell(bundle('own.test', 5), bundle('b.test', 8));
  expect(world.now).toEqual([5n, 9n]);
  const told = bundle('b.test', 9);
  world.tell(bundle('own.test', 5), told);
  expect(world.overlay.current().federated.get('b.test')).toBe(told);
  expect(world.kept).toEqual(new Map([['b.test', undefined]]));
});

it('gives way when an operator has set the number back', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  world.overlay.hear(bundle('b.test', 900));
  world.tell(bundle('own.test', 5), bundle('b.test', 3));
  expect(world.now).toEqual([5n, 3n]);
});

it('is ahead of a bundle without a number until the servers tell another', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', undefined)]);
  world.overlay.hear(bundle('b.test', 1));
  expect(world.now).toEqual([5n, 1n]);
  world.tell(bundle('own.test', 6), bundle('b.test', undefined));
  expect(world.now).toEqual([6n, 1n]);
  const other = { ...bundle('b.test', 2), sequenceNumber: undefined };
  world.tell(bundle('own.test', 6), other);
  expect(world.now).toEqual([6n, undefined]);
});

it('remembers over a restart what is still of use', () => {
  const restored = [bundle('b.test', 8), bundle('c.test', 4), bundle('own.test', 9)];
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)], restored);
  expect(world.now).toEqual([9n, 8n]);
  expect(world.kept).toEqual(new Map([['c.test', undefined]]));
});

it('leaves tainted what the servers said is', () => {
  const told = bundle('own.test', 5);
  const x509Authorities = told.x509Authorities.map((one) => ({ ...one, tainted: true }));
  const world = new World([{ ...told, x509Authorities }]);
  const next = bundle('own.test', 6);
  world.overlay.hear({
    ...next,
    x509Authorities: [...told.x509Authorities, ...next.x509Authorities],
  });
  const taints = world.overlay.current().own.x509Authorities.map(({ tainted }) => tainted);
  expect(taints).toEqual([true, false]);
});

it('keeps the object of a bundle that stays the same', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7), bundle('c.test', 1)]);
  world.overlay.hear(bundle('b.test', 8));
  const before = world.overlay.current();
  world.overlay.hear(bundle('c.test', 2));
  const after = world.overlay.current();
  expect(after.federated.get('b.test')).toBe(before.federated.get('b.test'));
  expect(after.own).toBe(before.own);
});

it('tells nobody any more once it is closed', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  world.overlay.close();
  world.tell(bundle('own.test', 6));
  expect(world.seen).toEqual([]);
});

it('believes its servers of nothing they said before they told of a trust domain anew (FED-19, FED-21)', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  const before = world.clock.now();
  world.clock.advance(60_000);
  world.tell(bundle('own.test', 5));
  world.tell(bundle('own.test', 5), bundle('b.test', 1));
  expect(() => world.overlay.hear(bundle('b.test', 8), before)).toThrow(isReplay);
  expect(world.now).toEqual([5n, 1n]);
  world.overlay.hear(bundle('b.test', 2), world.clock.now());
  expect(world.now).toEqual([5n, 2n]);
});

it('believes its servers of nothing they said before an operator set the number back', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  const before = world.clock.now();
  world.overlay.hear(bundle('b.test', 900), before);
  world.clock.advance(60_000);
  world.tell(bundle('own.test', 5), bundle('b.test', 3));
  expect(() => world.overlay.hear(bundle('b.test', 900), before)).toThrow(isReplay);
  expect(world.now).toEqual([5n, 3n]);
});

it('believes the trust domain itself, not its servers, of a bundle that an operator gave no number', () => {
  const told = bundle('b.test', undefined);
  const world = new World([bundle('own.test', 5), told], []);
  const now = world.clock.now();
  expect(() => world.overlay.hear(bundle('b.test', 7), now)).toThrow(isReplay);
  world.overlay.hear(bundle('b.test', 7));
  expect(world.now).toEqual([5n, 7n]);
});

it('hears its servers also of what they told before this process', () => {
  const world = new World([bundle('own.test', 5), bundle('b.test', 7)]);
  world.overlay.hear(bundle('b.test', 8), world.clock.now() - 3_000_000);
  expect(world.now).toEqual([5n, 8n]);
});
