import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildReport, parseReport } from '../../src/facts/facts-report.ts';
import { type Facts, FactsFeed, FactsView } from '../../src/facts/index.ts';
import { RevocationTable } from '../../src/facts/revocation-table.ts';
import {
  buildRevocationIndex,
  findRevocation,
  policyFile,
  type Revocation,
  SpiffeId,
  TrustDomain,
} from '../../src/spiffe/index.ts';
import { FakeClock, settle } from '../fakes/fake-clock.ts';
import { FakeFacts, startFacts } from '../fakes/fake-facts.ts';
import { numberedBundle, testRevocation, testTerms } from '../fakes/sync-world.ts';
import { attempt } from './attempt.ts';

const trustDomain = TrustDomain.parse('a.test');
const number = fc.integer({ min: 1, max: 3 });
const domains = ['b.test', 'c.test', 'd.test'];

/** Facts that differ in any part. */
const facts = fc
  .record({
    own: number,
    federated: fc.dictionary(fc.constantFrom(...domains), number),
    terms: fc.dictionary(fc.constantFrom(...domains), fc.constantFrom('/x', '/y')),
    revocations: fc.dictionary(fc.constantFrom('r1', 'r2', 'r3', 'r4'), number),
    policies: fc.option(fc.tuple(number, number), { nil: undefined }),
  })
  .map(({ own, federated, terms, revocations, policies }): Facts => {
    const [one, other] = policies ?? [0, 0];
    const hash = `${one}${other}`.padStart(64, '0');
    const files = [one, other].map((text, at) =>
      policyFile(`p${at}.yaml`, Uint8Array.from(Buffer.from(`text ${text}`))),
    );
    return {
      trust: {
        own: numberedBundle('a.test', own),
        federated: new Map(
          Object.entries(federated).map(([name, at]) => [name, numberedBundle(name, at)]),
        ),
        terms: new Map(Object.entries(terms).map(([name, path]) => [name, testTerms(name, path)])),
      },
      revocations: Object.entries(revocations).map(([id, issuedBefore]) =>
        testRevocation(id, { issuedBefore }),
      ),
      policies: policies && { version: one, hash, digest: hash, createdAt: 1, files },
    };
  });

const step = fc.oneof(
  facts.map((set) => ({ set })),
  fc.constant({ turn: true }),
  fc.constant({ hold: true }),
  fc.constant({ letGo: true }),
  fc.constant({ reopen: true }),
  fc.constant({ beat: true }),
);

describe('facts', () => {
  it('end up with every reader as they are, however slow he was and whatever broke', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const source = new FakeFacts(startFacts);
        const clock = new FakeClock();
        const feed = new FactsFeed({ source, clock });
        const view = new FactsView(trustDomain);
        let isHeld = false;
        let waiting = (): void => {};
        const open = () => {
          waiting = () => {};
          return feed.open((message, taken) => {
            view.apply(message);
            if (isHeld) waiting = taken;
            else taken();
          });
        };
        const letGo = (): void => {
          isHeld = false;
          const taken = waiting;
          waiting = () => {};
          taken();
        };
        let reader = open();
        for (const each of steps) {
          if ('set' in each) source.set(each.set);
          else if ('hold' in each) isHeld = true;
          else if ('letGo' in each) letGo();
          else if ('beat' in each) clock.advance(10_000);
          else if ('reopen' in each) {
            reader.close();
            reader = open();
          } else await settle();
        }
        letGo();
        for (let turn = 0; turn < 4; turn++) await settle();
        feed.close();
        const { trust, revocations, policies } = source.current() ?? startFacts;
        expect(view.trust()).toEqual(trust);
        expect(view.policies()).toEqual(policies);
        const byId = (list: readonly Revocation[] = []) =>
          [...list].sort((one, other) => one.id.localeCompare(other.id));
        expect(byId(view.current()?.revocations)).toEqual(byId(revocations));
      }),
      { numRuns: 200 },
    );
  });

  it('of any bytes are taken whole or refused, and leave what was known', async () => {
    const source = new FakeFacts(startFacts);
    const feed = new FactsFeed({ source, clock: new FakeClock() });
    const messages: Uint8Array[] = [];
    feed.open((message, taken) => {
      messages.push(message);
      taken();
    });
    source.set({ revocations: [testRevocation('r1')] });
    await settle();
    source.set({ revocations: [testRevocation('r2')] });
    await settle();
    feed.close();
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.constantFrom(...messages), fc.nat(200), fc.nat(255)).map(([message, at, by]) => {
        const changed = Uint8Array.from(message);
        changed[at % changed.length] = by;
        return changed;
      }),
      fc
        .tuple(fc.constantFrom(...messages), fc.nat(200))
        .map(([message, to]) => message.slice(0, to)),
    );
    fc.assert(
      fc.property(bytes, (message) => {
        const view = new FactsView(trustDomain);
        view.apply(messages[0] ?? new Uint8Array());
        const before = view.current();
        const isTaken = attempt(() => view.apply(message)) === true;
        return isTaken || view.current() === before;
      }),
      { numRuns: 2_000 },
    );
    expect(messages.length).toBeGreaterThan(1);
  });

  it('find a revocation as an index of all of them does, after any changes', () => {
    const revocation = fc.record({
      id: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
      value: fc.constantFrom('e1', 'e2'),
      issuedBefore: fc.integer({ min: 1, max: 4 }),
    });
    const change = fc.record({ revocation, isGone: fc.boolean() });
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 8 }), (batches) => {
        const table = new RevocationTable();
        const model = new Map<string, Revocation>();
        for (const batch of batches) {
          const changes = batch.map(({ revocation: { id, ...more }, isGone }) => {
            const value = isGone ? undefined : testRevocation(id, more);
            if (value === undefined) model.delete(id);
            else model.set(id, value);
            return [id, value] as const;
          });
          table.change(changes);
          const index = buildRevocationIndex(model.values());
          for (const entryId of ['e1', 'e2']) {
            for (const issuedAt of [0, 1, 2, 3]) {
              const subject = { spiffeId: SpiffeId.parse('spiffe://a.test/x'), issuedAt, entryId };
              expect(table.find(subject)?.issuedBefore).toBe(
                findRevocation(index, subject)?.issuedBefore,
              );
            }
          }
          expect(new Set(table.list)).toEqual(new Set(model.values()));
        }
      }),
    );
  });

  it('are reported on as they were said', () => {
    const digest = fc.option(fc.constantFrom('aa'.repeat(32), '0b'.repeat(32)), { nil: undefined });
    const text = fc.string({ minLength: 1, maxLength: 40 });
    const report = fc.record({
      name: text,
      version: text,
      digest,
      hash: digest,
      since: fc.option(fc.integer({ min: 1 }), { nil: undefined }),
      fault: fc.option(text, { nil: undefined }),
      refused: digest,
    });
    fc.assert(
      fc.property(report, (said) => {
        expect(parseReport(buildReport(said))).toEqual(said);
        const long = parseReport(buildReport({ ...said, fault: 'ü\n'.repeat(9_000) }));
        expect(long.fault?.endsWith('…')).toBe(true);
        expect(Buffer.byteLength(long.fault ?? '')).toBeLessThanOrEqual(4_096);
      }),
    );
  });
});
