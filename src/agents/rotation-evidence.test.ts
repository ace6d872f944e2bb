import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { type Bundle, bundleDigest, emptyBundle, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import type { AttestedAgent } from './agent.ts';
import type { AgentChange } from './agent-view.ts';
import { RotationEvidence, type RotationEvidenceOptions } from './rotation-evidence.ts';

const trustDomain = TrustDomain.parse('a.test');
const one = SpiffeId.parse('spiffe://a.test/spire/agent/test/one');
const two = SpiffeId.parse('spiffe://a.test/spire/agent/test/two');
const [before, added] = [Uint8Array.of(1), Uint8Array.of(2)];

function bundleOf(sequence: number, ...certificates: Uint8Array[]): Bundle {
  return {
    ...emptyBundle(trustDomain),
    x509Authorities: certificates.map((certificate) => ({ certificate, tainted: false })),
    sequenceNumber: BigInt(sequence),
    refreshHintSeconds: 60,
  };
}

function attested(id: SpiffeId, more: Partial<AttestedAgent> = {}): AttestedAgent {
  return {
    id,
    attestationType: 'test',
    selectors: [],
    svid: { serialNumber: '01', expiresAt: Number.MAX_SAFE_INTEGER, keyDigest: '' },
    renewedSvid: undefined,
    banned: false,
    canReattest: false,
    agentVersion: '',
    attestedAt: 0,
    ...more,
  };
}

function open(
  options: Partial<RotationEvidenceOptions> & { agents?: readonly AttestedAgent[] } = {},
) {
  const clock = new FakeClock();
  let bundle = bundleOf(1, before);
  const listeners = new Set<(bundle: Bundle) => void>();
  const metrics = createMetrics();
  const evidence = new RotationEvidence({
    ownBundle: {
      current: () => bundle,
      watch: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    hasAnonymousReaders: false,
    clock,
    log: silentLog,
    metrics,
    ...options,
  });
  onTestFinished(() => evidence.close());
  let change: (change: AgentChange) => void = () => undefined;
  const begin = () =>
    evidence.begin({
      all: options.agents ?? [],
      watch: (listener) => {
        change = listener;
        return () => undefined;
      },
    });
  const publish = (next: Bundle) => {
    bundle = next;
    for (const listener of listeners) listener(next);
  };
  const publishedAt = clock.now();
  const behind = () => evidence.check({ certificate: added, publishedAt }).behind;
  const who = () => behind().map((each) => each.who);
  return {
    evidence,
    clock,
    metrics,
    begin,
    publish,
    behind,
    who,
    publishedAt,
    changeAgent: (next: AgentChange) => change(next),
  };
}

const next = bundleOf(2, before, added);
const later = bundleOf(3, before, added, Uint8Array.of(3));

describe('RotationEvidence', () => {
  it('is closed until it is known who was there before, then open when nobody is', () => {
    const { who, begin } = open();
    expect(who()).toEqual(['this server']);
    begin();
    expect(who()).toEqual([]);
  });

  it('waits for every live agent to confirm a bundle with the authority, and names who has not', () => {
    const { evidence, begin, publish, behind, who } = open();
    evidence.onConnected(one);
    evidence.onConnected(two);
    begin();
    evidence.onConfirmed(one, bundleDigest(bundleOf(1, before)), []);
    expect(behind()).toEqual([
      { who: one.toString(), why: 'has not confirmed a bundle with it' },
      { who: two.toString(), why: 'has not confirmed a bundle with it' },
    ]);
    publish(next);
    publish(later);
    evidence.onConfirmed(one, bundleDigest(next), []);
    expect(who()).toEqual([two.toString()]);
    evidence.onConfirmed(two, bundleDigest(later), []);
    expect(who()).toEqual([]);
  });

  it('believes no confirmation of a bundle that never was', () => {
    const { evidence, begin, publish, who } = open();
    evidence.onConnected(one);
    begin();
    evidence.onConfirmed(one, bundleDigest(bundleOf(9, added)), []);
    evidence.onConfirmed(two, bundleDigest(next), []);
    publish(next);
    expect(who()).toEqual([one.toString()]);
  });

  it('counts an agent as live for 30 s after its last stream', () => {
    const { evidence, begin, publish, who, clock } = open();
    evidence.onConnected(one);
    evidence.onConnected(one);
    begin();
    publish(next);
    evidence.onDisconnected(one);
    clock.advance(60_000);
    expect(who()).toEqual([one.toString()]);
    evidence.onDisconnected(one);
    clock.advance(29_999);
    expect(who()).toEqual([one.toString()]);
    clock.advance(1);
    expect(who()).toEqual([]);
  });

  it('holds on to what an agent confirmed when it comes back in time, and asks anew when not', () => {
    const { evidence, begin, publish, who, clock } = open();
    evidence.onConnected(one);
    begin();
    publish(next);
    evidence.onConfirmed(one, bundleDigest(next), []);
    evidence.onDisconnected(one);
    clock.advance(20_000);
    evidence.onConnected(one);
    clock.advance(60_000);
    expect(who()).toEqual([]);
    evidence.onDisconnected(one);
    clock.advance(30_000);
    evidence.onConnected(one);
    expect(who()).toEqual([one.toString()]);
  });

  it('waits 30 s after a start for agents that were there before, and not for those that cannot be', () => {
    const gone = attested(two, { svid: { serialNumber: '01', expiresAt: 1, keyDigest: '' } });
    const { begin, behind, who, clock } = open({ agents: [attested(one), gone] });
    begin();
    expect(behind()).toEqual([
      {
        who: one.toString(),
        why: 'has not come back since the server started at 2026-01-01T00:00:00.000Z',
      },
    ]);
    clock.advance(30_000);
    expect(who()).toEqual([]);
  });

  it('forgets an agent that is banned or evicted at once', () => {
    const { evidence, begin, changeAgent, who } = open({ agents: [attested(two)] });
    evidence.onConnected(one);
    begin();
    expect(who()).toEqual([two.toString(), one.toString()]);
    changeAgent({ id: one, agent: attested(one, { banned: true }) });
    changeAgent({ id: two, agent: undefined });
    expect(who()).toEqual([]);
  });

  it('gives agents that ask by themselves three refresh hints, and says when that is over', () => {
    const { evidence, begin, publish, behind, clock, publishedAt } = open();
    begin();
    publish(next);
    evidence.onPolled(one);
    const why = 'may have an earlier bundle until 2026-01-01T00:03:00.000Z';
    expect(behind()).toEqual([{ who: one.toString(), why }]);
    expect(evidence.check({ certificate: added, publishedAt })).toMatchObject({
      isOpen: false,
      opensAt: publishedAt + 180_000,
    });
    clock.advance(180_000);
    expect(evidence.check({ certificate: added, publishedAt })).toMatchObject({ isOpen: true });
  });

  it('does not wait by time for agents that have a stream', () => {
    const { evidence, begin, publish, who } = open();
    begin();
    publish(next);
    evidence.onPolled(one);
    evidence.onConnected(one);
    evidence.onPolled(one);
    evidence.onConfirmed(one, bundleDigest(next), []);
    expect(who()).toEqual([]);
  });

  it('gives unknown readers of the bundle three refresh hints', () => {
    const { begin, who, clock } = open({ hasAnonymousReaders: true });
    begin();
    expect(who()).toEqual(['readers of the bundle endpoint']);
    clock.advance(180_000);
    expect(who()).toEqual([]);
  });

  it('says no instant while somebody is waited for who may never confirm', () => {
    const { evidence, begin, publishedAt } = open({ hasAnonymousReaders: true });
    evidence.onConnected(one);
    begin();
    expect(evidence.check({ certificate: added, publishedAt })).not.toHaveProperty('opensAt');
  });

  it('names the streams that an agent named, and does not wait for them', () => {
    const { evidence, begin, publish, publishedAt } = open();
    evidence.onConnected(one);
    begin();
    publish(next);
    const laggard = { stream: 'SDS stream of pid 7', reason: 'has not answered ROOTCA' };
    evidence.onConfirmed(one, bundleDigest(next), [laggard]);
    expect(evidence.check({ certificate: added, publishedAt })).toMatchObject({
      isOpen: true,
      behind: [{ who: `SDS stream of pid 7 at ${one.toString()}`, why: laggard.reason }],
    });
    evidence.onConfirmed(one, bundleDigest(next), []);
    expect(evidence.check({ certificate: added, publishedAt }).behind).toEqual([]);
  });

  it('tells of changes, those of a moment together, and counts who has not confirmed', async () => {
    const { evidence, begin, publish, clock, metrics } = open();
    let told = 0;
    const stop = evidence.watch(() => told++);
    begin();
    evidence.onConnected(one);
    evidence.onConnected(two);
    publish(next);
    evidence.onConfirmed(one, bundleDigest(next), []);
    clock.advance(20);
    expect(told).toBe(1);
    expect(await metrics.render()).toContain('trustplane_agents_live_count 2');
    expect(await metrics.render()).toContain('trustplane_agents_unconfirmed_count 1');
    evidence.onDisconnected(two);
    clock.advance(20);
    clock.advance(30_000);
    expect(told).toBe(3);
    stop();
    publish(later);
    clock.advance(20);
    expect(told).toBe(3);
  });

  it('waits for a trust domain that says which bundle it holds, and looks again when it says so', () => {
    let acknowledged: string | undefined;
    const listeners = new Set<() => void>();
    const { evidence, begin, publish, behind, clock } = open({
      peers: {
        behind: (isWithIt) => (isWithIt(acknowledged) ? [] : [{ who: 'b.test', why: 'waits' }]),
        watch: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
    });
    begin();
    publish(next);
    expect(behind()).toEqual([{ who: 'b.test', why: 'waits' }]);
    clock.advance(20);
    let told = 0;
    evidence.watch(() => told++);
    acknowledged = bundleDigest(next);
    for (const listener of listeners) listener();
    clock.advance(20);
    expect([told, behind()]).toEqual([1, []]);
  });
});
