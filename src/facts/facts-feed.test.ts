import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { FakeFacts, startFacts } from '../../test/fakes/fake-facts.ts';
import { numberedBundle, testRevocation, testTerms } from '../../test/fakes/sync-world.ts';
import { type PolicyTexts, policyFile, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import type { Facts } from './facts.ts';
import { FactsFeed } from './facts-feed.ts';
import { FactsView } from './facts-view.ts';
import { parsePart } from './parse-part.ts';

const trustDomain = TrustDomain.parse('a.test');
const start = startFacts;
const { own } = start.trust;

function open(facts: Facts | undefined = start) {
  const source = new FakeFacts(facts);
  const clock = new FakeClock();
  const feed = new FactsFeed({ source, clock });
  return { source, clock, feed };
}

/** A reader with a view; one that is held takes nothing more until it is let go. */
function read(feed: FactsFeed, view = new FactsView(trustDomain)) {
  const messages: Uint8Array[] = [];
  let isHeld = false;
  let waiting: (() => void) | undefined;
  const { close } = feed.open((message, taken) => {
    messages.push(message);
    view.apply(message);
    if (isHeld) waiting = taken;
    else taken();
  });
  const parts = () => messages.map((message) => parsePart(message, trustDomain));
  return {
    view,
    messages,
    parts,
    close,
    hold: () => void (isHeld = true),
    letGo: () => {
      isHeld = false;
      waiting?.();
    },
  };
}

/** Lets a feed write all it has, however many parts that is. */
async function flow(parts = 3): Promise<void> {
  for (let part = 0; part < parts; part++) await settle();
}

function policies(version: number, ...texts: readonly string[]): PolicyTexts {
  const files = texts.map((text, at) =>
    policyFile(`p${at}.yaml`, Uint8Array.from(Buffer.from(text))),
  );
  const digest = String(version).padStart(64, '0');
  return { version, hash: digest, digest, createdAt: version, files };
}

describe('a feed of facts', () => {
  it('begins with all there is, and goes on with what changed', async () => {
    const { source, feed } = open();
    const reader = read(feed);
    await flow();
    expect(reader.view.current()).toEqual({ ...start, policies: undefined });
    const federated = new Map([['b.test', numberedBundle('b.test', 1)]]);
    source.set({ trust: { own, federated, terms: new Map() } });
    await flow();
    source.set({ revocations: [testRevocation('r1')] });
    await flow();
    expect(reader.parts()).toMatchObject([
      { isSnapshot: true, revision: 1 },
      { isSnapshot: false, revision: 2, facts: [{ kind: 'b' }] },
      { isSnapshot: false, revision: 3, facts: [{ kind: 'r' }] },
    ]);
    expect(reader.view.trust().federated).toEqual(federated);
    expect(reader.view.current()?.revocations).toEqual([testRevocation('r1')]);
  });

  it('says nothing before something is known', async () => {
    const { source, feed, clock } = open(undefined);
    const quiet = new FakeFacts();
    const early = read(new FactsFeed({ source: quiet, clock }));
    await flow();
    clock.advance(10_000);
    expect(early.messages).toEqual([]);
    expect(early.view.isComplete).toBe(false);
    quiet.set({});
    await flow();
    expect(early.view.isComplete).toBe(true);
    source.set({});
    const late = read(feed);
    await flow();
    expect(late.view.isComplete).toBe(true);
  });

  it('takes back what went: a bundle, terms, a revocation', async () => {
    const { source, feed } = open();
    const reader = read(feed);
    source.set({
      trust: {
        own,
        federated: new Map([['b.test', numberedBundle('b.test', 1)]]),
        terms: new Map([['b.test', testTerms('b.test', '/x')]]),
      },
      revocations: [testRevocation('r1'), testRevocation('r2')],
    });
    await flow();
    expect(reader.view.trust().terms.get('b.test')?.accept).toHaveLength(1);
    source.set({ trust: start.trust, revocations: [testRevocation('r2')] });
    await flow();
    expect(reader.view.trust()).toEqual(start.trust);
    expect(reader.view.current()?.revocations.map(({ id }) => id)).toEqual(['r2']);
  });

  it('carries the policies of the servers, each file once', async () => {
    const { source, feed } = open();
    const reader = read(feed);
    await flow();
    source.set({ policies: policies(1, 'one', 'two') });
    await flow();
    expect(reader.view.policies()).toEqual(policies(1, 'one', 'two'));
    source.set({ policies: policies(2, 'one', 'three') });
    await flow();
    expect(reader.view.policies()).toEqual(policies(2, 'one', 'three'));
    const kinds = reader.parts().map(({ facts }) => facts.map(({ kind }) => kind).join(''));
    expect(kinds).toEqual(['b', 'ffp', 'fp']);
    source.set({ policies: undefined });
    await flow();
    expect(reader.view.policies()).toBeUndefined();
  });

  it('leaves policies out where they are not wanted', async () => {
    const source = new FakeFacts(startFacts);
    const feed = new FactsFeed({ source, tellsPolicies: false, clock: new FakeClock() });
    const reader = read(feed);
    await flow();
    source.set({ policies: policies(1, 'one') });
    await flow();
    source.set({ revocations: [testRevocation('r1')] });
    await flow();
    expect(reader.messages).toHaveLength(2);
    expect(reader.view.policies()).toBeUndefined();
    expect(reader.view.current()?.revocations).toHaveLength(1);
  });

  it('merges for a slow reader: one message waits, and the latest state comes next', async () => {
    const { source, feed } = open();
    const reader = read(feed);
    await flow();
    reader.hold();
    for (let number = 2; number <= 50; number++) {
      source.set({ trust: { ...start.trust, own: numberedBundle('a.test', number) } });
      await flow(1);
    }
    expect(reader.messages).toHaveLength(2);
    reader.letGo();
    await flow();
    expect(reader.messages).toHaveLength(3);
    expect(reader.view.trust().own.sequenceNumber).toBe(50n);
  });

  it('makes one update of what one turn of the event loop brings', async () => {
    const { source, feed } = open();
    const reader = read(feed);
    await flow();
    source.set({ revocations: [testRevocation('r1')] });
    source.set({ revocations: [testRevocation('r1'), testRevocation('r2')] });
    await flow();
    expect(reader.messages).toHaveLength(2);
  });

  it('gives a reader that is too far behind a snapshot', async () => {
    const { source, feed } = open();
    const reader = read(feed);
    await flow();
    reader.hold();
    source.set({ revocations: [testRevocation('first')] });
    await flow();
    const many = Array.from({ length: 5_000 }, (_, at) => testRevocation(`r${at}`));
    source.set({ revocations: many });
    await flow();
    reader.letGo();
    await flow(20);
    expect(reader.parts().at(-1)).toMatchObject({ isSnapshot: true, isLast: true });
    expect(reader.view.current()?.revocations).toEqual(many);
  });

  it('shows nothing of an update that is not whole', async () => {
    const { source, feed } = open();
    const many = Array.from({ length: 5_000 }, (_, at) => testRevocation(`r${at}`));
    source.set({ revocations: many });
    const reader = read(feed);
    reader.hold();
    await flow();
    expect(reader.messages).toHaveLength(1);
    expect(reader.view.isComplete).toBe(false);
    expect(reader.view.findRevocation(subjectOf('r0'))).toBeUndefined();
    reader.letGo();
    await flow(20);
    expect(reader.messages.length).toBeGreaterThan(1);
    expect(Math.max(...reader.messages.map(({ length }) => length))).toBeLessThan(66_000);
    expect(reader.view.findRevocation(subjectOf('r0'))).toEqual(testRevocation('r0'));
  });

  it('says every ten seconds that nothing has changed', async () => {
    const { clock, feed } = open();
    const reader = read(feed);
    await flow();
    const before = reader.view.current();
    clock.advance(10_000);
    await flow();
    expect(reader.parts().at(-1)).toMatchObject({ revision: 2, isSnapshot: false, facts: [] });
    expect(reader.view.current()).toBe(before);
    reader.close();
    clock.advance(10_000);
    await flow();
    expect(reader.messages).toHaveLength(2);
  });

  it('lets a view change feeds, and keeps what is the same', async () => {
    const { source, feed, clock } = open();
    source.set({ revocations: [testRevocation('r1')] });
    const first = read(feed);
    await flow();
    first.close();
    const trust = first.view.trust();
    const [revocation] = first.view.current()?.revocations ?? [];
    read(new FactsFeed({ source, clock }), first.view);
    await flow();
    expect(first.view.trust().own).toBe(trust.own);
    expect(first.view.current()?.revocations[0]).toBe(revocation);
  });

  it('is a source for another feed', async () => {
    const { source, feed, clock } = open();
    const first = read(feed);
    const second = read(new FactsFeed({ source: first.view, clock }));
    await flow();
    source.set({ revocations: [testRevocation('r1')], policies: policies(1, 'one') });
    await flow(6);
    expect(second.view.current()).toEqual(source.current());
  });
});

function subjectOf(entryId: string) {
  return { spiffeId: SpiffeId.parse('spiffe://a.test/x'), issuedAt: 0, entryId };
}
