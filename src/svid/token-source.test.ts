import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { FakeEntitlements, fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { FakeJwtIssuer } from '../../test/fakes/fake-jwt-issuer.ts';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import { fakeProcess } from '../../test/fakes/svid-plane.ts';
import { testTerms } from '../../test/fakes/sync-world.ts';
import { silentLog } from '../ops/log.ts';
import { createMetrics } from '../ops/metrics.ts';
import {
  buildRevocationIndex,
  findRevocation,
  parseJwtSvid,
  parseSelector,
  type Revocation,
  type RevocationSubject,
  SelectorSet,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { jwtCacheLimits } from './jwt-cache.ts';
import { createTokenSource } from './token-source.ts';

const trustDomain = TrustDomain.parse('a.test');
const never = new AbortController().signal;

function createPlane(isComplete = true) {
  const clock = new FakeClock();
  const entries = new FakeEntitlements(isComplete);
  const issuer = new FakeJwtIssuer(clock, trustDomain, (id) => entries.get(id));
  const trust = new FakeTrustMap(issuer.bundle());
  const metrics = createMetrics();
  const revoked: { find: (subject: RevocationSubject) => Revocation | undefined } = {
    find: () => undefined,
  };
  const self = fakeProcess();
  const source = createTokenSource<typeof self>({
    clock,
    entitlements: entries,
    trust,
    issuer,
    revocations: { find: (subject) => revoked.find(subject), watch: () => () => {} },
    random: () => 0.5,
    log: silentLog,
    metrics,
    isAlive: (process) => process.alive,
    attest: async (process) => {
      process.attestations++;
      const selectors = SelectorSet.of(process.selectors.map(parseSelector));
      await process.gate;
      return selectors;
    },
  });
  const fetch = async (audience: readonly string[], id?: string, signal = never) => {
    const spiffeId = id === undefined ? undefined : SpiffeId.parse(id);
    return await source.fetchJwtSvids(self, { audience, spiffeId }, signal);
  };
  return {
    clock,
    entries,
    issuer,
    trust,
    source,
    self,
    revoked,
    fetch,
    async token(...audience: readonly string[]) {
      return (await fetch(audience))[0]?.token ?? '';
    },
    async metric(name: string) {
      const lines = (await metrics.render()).split('\n');
      return Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
    },
    async publish() {
      trust.set(issuer.bundle());
      await settle();
    },
  };
}

const minutes = (n: number) => n * 60_000;

describe('fetchJwtSvids', () => {
  it('gives all identities of the workload, the oldest entry first (WLAPI-12, WLAPI-16)', async () => {
    const { entries, fetch } = createPlane();
    entries.put(fakeEntry('first', { hint: 'h' }), fakeEntry('second', { hint: 'h' }));
    entries.put(fakeEntry('others', { selectors: ['unix:uid:7'] }));
    const found = await fetch(['db', 'cache']);
    expect(found.map(({ spiffeId, hint }) => [spiffeId.toString(), hint])).toEqual([
      ['spiffe://a.test/first', 'h'],
      ['spiffe://a.test/second', ''],
    ]);
    for (const { token, spiffeId, expiresAt } of found) {
      const svid = parseJwtSvid(token);
      expect(svid).toMatchObject({ audience: ['db', 'cache'], expiresAt });
      expect(svid.spiffeId.equals(spiffeId)).toBe(true);
    }
  });

  it('gives the one that is asked for, with the hint it always has (WLAPI-12)', async () => {
    const { entries, fetch, issuer } = createPlane();
    entries.put(fakeEntry('first', { hint: 'h' }), fakeEntry('second', { hint: 'h' }));
    const found = await fetch(['db'], 'spiffe://a.test/second');
    expect(found.map(({ entryId, hint }) => [entryId, hint])).toEqual([['second', '']]);
    expect(issuer.requests).toHaveLength(1);
    expect(await fetch(['db'], 'spiffe://a.test/third')).toEqual([]);
  });

  it('gives nothing to who is entitled to nothing, has expired entries, or is gone', async () => {
    const { clock, entries, fetch, self } = createPlane();
    expect(await fetch(['db'])).toEqual([]);
    entries.put(fakeEntry('web', { expiresAt: clock.now() + 1000 }));
    expect(await fetch(['db'])).toHaveLength(1);
    clock.advance(1000);
    expect(await fetch(['db'])).toEqual([]);
    self.alive = false;
    await expect(fetch(['db'])).rejects.toMatchObject({ code: 'ERR_SVID_WORKLOAD_GONE' });
  });

  it('attests for each question, as the process is now', async () => {
    const { entries, fetch, self } = createPlane();
    entries.put(fakeEntry('web'));
    expect(await fetch(['db'])).toHaveLength(1);
    self.selectors = ['unix:uid:7'];
    expect(await fetch(['db'])).toEqual([]);
    expect(self.attestations).toBe(2);
  });

  it('gives nothing of an entry that is deleted while it is signed', async () => {
    const { entries, fetch, issuer } = createPlane();
    entries.put(fakeEntry('web'), fakeEntry('db'));
    const open = issuer.hold();
    const asked = fetch(['x']);
    await settle();
    const stay = entries.get('web');
    if (stay !== undefined) entries.put(stay);
    issuer.tamper = (grant) => {
      entries.delete('db');
      return grant;
    };
    open();
    expect((await asked).map(({ entryId }) => entryId)).toEqual(['web']);
  });

  it('waits while more may be known elsewhere, until it is known or the caller has left', async () => {
    const { entries, fetch, self } = createPlane(false);
    const asked = fetch(['db']);
    const leaver = new AbortController();
    const left = fetch(['db'], undefined, leaver.signal);
    await settle();
    leaver.abort();
    await expect(left).rejects.toMatchObject({ code: 'ERR_SVID_WORKLOAD_GONE' });
    entries.put(fakeEntry('others', { selectors: ['unix:uid:7'] }));
    await settle();
    entries.put(fakeEntry('web'));
    expect((await asked).map(({ entryId }) => entryId)).toEqual(['web']);
    expect(self.attestations).toBeGreaterThan(2);
    entries.complete();
    entries.delete('web');
    expect(await fetch(['db'])).toEqual([]);
  });

  it('refuses a token that is not what was asked for, or of a key that is not published', async () => {
    const { entries, fetch, issuer } = createPlane();
    entries.put(fakeEntry('web'), fakeEntry('db', { selectors: ['unix:uid:7'] }));
    const other = await issuer.issue({
      entryId: 'db',
      spiffeId: SpiffeId.parse('spiffe://a.test/db'),
      audience: ['x'],
    });
    issuer.tamper = () => other;
    await expect(fetch(['x'])).rejects.toMatchObject({ code: 'ERR_SVID_REFUSED' });
    issuer.tamper = (grant) => ({ ...grant, expiresAt: grant.expiresAt + 60_000 });
    await expect(fetch(['x'])).rejects.toMatchObject({ code: 'ERR_SVID_REFUSED' });
    issuer.tamper = (grant) => ({ ...grant, token: `${grant.token}A` });
    await expect(fetch(['x'])).rejects.toMatchObject({ code: 'ERR_SVID_REFUSED' });
    issuer.tamper = undefined;
    issuer.prepareKey()();
    await expect(fetch(['x'])).rejects.toMatchObject({ code: 'ERR_SVID_AUTHORITY' });
  });
});

describe('the cache of JWT-SVIDs', () => {
  it('gives the same token to all until half of its life has passed', async () => {
    const { clock, entries, issuer, token } = createPlane();
    entries.put(fakeEntry('web'));
    const first = await token('a', 'b');
    expect(await token('b', 'a')).toBe(first);
    expect(await token('a')).not.toBe(first);
    clock.advance(minutes(2.5) - 1);
    expect(await token('a', 'b')).toBe(first);
    clock.advance(1);
    expect(await token('a', 'b')).not.toBe(first);
    expect(issuer.requests).toHaveLength(3);
  });

  it('asks once for many who ask at once', async () => {
    const { entries, issuer, token, metric } = createPlane();
    entries.put(fakeEntry('web'));
    const open = issuer.hold();
    const asked = Array.from({ length: 20 }, () => token('a'));
    await settle();
    open();
    expect(new Set(await Promise.all(asked)).size).toBe(1);
    expect(issuer.requests).toHaveLength(1);
    expect(await metric('trustplane_svid_jwt_kept')).toBe(1);
  });

  it('keeps giving the old one while the issuer fails or is slow, and never an expired one', async () => {
    const { clock, entries, issuer, token } = createPlane();
    entries.put(fakeEntry('web'));
    const first = await token('a');
    clock.advance(minutes(3));
    issuer.failure = new TrustplaneError('ERR_SVID_ISSUE', 'down');
    expect(await token('a')).toBe(first);
    expect(await token('a')).toBe(first);
    expect(issuer.requests).toHaveLength(2);
    clock.advance(1000);
    issuer.failure = undefined;
    const open = issuer.hold();
    const asked = token('a');
    await clock.advanceAsync(1000);
    expect(await asked).toBe(first);
    clock.advance(minutes(2));
    const late = token('a');
    await settle();
    open();
    expect(await late).not.toBe(first);
  });

  it('tells when there is none and the issuer fails or is silent', async () => {
    const { clock, entries, issuer, token } = createPlane();
    entries.put(fakeEntry('web'));
    issuer.failure = new Error('secret detail');
    await expect(token('a')).rejects.toMatchObject({ code: 'ERR_SVID_ISSUE' });
    issuer.failure = undefined;
    issuer.hold();
    const asked = token('a').catch((error: unknown) => error);
    await settle();
    await clock.advanceAsync(10_000);
    expect(await asked).toMatchObject({ code: 'ERR_SVID_ISSUE' });
  });

  it('forgets what was made from an entry as it no longer is', async () => {
    const { entries, token, metric } = createPlane();
    const entry = fakeEntry('web');
    entries.put(entry);
    const first = await token('a');
    entries.put({ ...entry, hint: 'new', revisionNumber: 1 });
    await settle();
    expect(await token('a')).toBe(first);
    entries.put({ ...entry, jwtSvidTtlSeconds: 60 });
    await settle();
    expect(await metric('trustplane_svid_jwt_kept')).toBe(0);
    expect(parseJwtSvid(await token('a')).expiresAt).toBeLessThan(parseJwtSvid(first).expiresAt);
    entries.delete('web');
    await settle();
    expect(await metric('trustplane_svid_jwt_kept')).toBe(0);
  });

  it('replaces what a tainted key signed while it can, and drops what the bundle no longer verifies', async () => {
    const { clock, entries, issuer, token, publish, metric } = createPlane();
    entries.put(fakeEntry('web'));
    const first = await token('a');
    const activate = issuer.prepareKey();
    issuer.taint(0);
    issuer.failure = new TrustplaneError('ERR_SVID_ISSUE', 'down');
    await publish();
    expect(await token('a')).toBe(first);
    activate();
    issuer.failure = undefined;
    clock.advance(1000);
    const second = await token('a');
    expect(parseJwtSvid(second).keyId).toBe('jwt-1');
    expect(await token('a')).toBe(second);
    issuer.revoke(1);
    await publish();
    expect(await metric('trustplane_svid_jwt_kept')).toBe(0);
    await expect(token('a')).rejects.toMatchObject({ code: 'ERR_SVID_AUTHORITY' });
  });

  it('never gives what is revoked', async () => {
    const { clock, entries, revoked, token } = createPlane();
    entries.put(fakeEntry('web'));
    const first = await token('a');
    const issuedBefore = clock.now() + 5_000;
    const revocation: Revocation = {
      id: 'r',
      kind: 'entry',
      value: 'web',
      issuedBefore,
      expiresAt: issuedBefore + 1000,
      reason: '',
    };
    revoked.find = ({ entryId, issuedAt }) =>
      entryId === 'web' && issuedAt < issuedBefore ? revocation : undefined;
    await expect(token('a')).rejects.toMatchObject({ code: 'ERR_SVID_REVOKED' });
    clock.advance(5_000);
    expect(await token('a')).not.toBe(first);
  });

  it('makes a new one each time for an entry that wants a jti (JWT-13)', async () => {
    const { entries, token, metric } = createPlane();
    entries.put(fakeEntry('web', { jwtSvidIncludeJti: true }));
    const tokens = await Promise.all([token('a'), token('a'), token('a')]);
    expect(new Set(tokens).size).toBe(3);
    expect(await metric('trustplane_svid_jwt_kept')).toBe(0);
  });

  it('is bounded for each entry, and for all', async () => {
    const { entries, issuer, token, metric } = createPlane();
    entries.put(fakeEntry('web'));
    const max = jwtCacheLimits.tokensPerEntry;
    for (let i = 0; i <= max; i++) await token(`a${i}`);
    expect(await metric('trustplane_svid_jwt_kept')).toBe(max);
    await token('a1');
    expect(issuer.requests).toHaveLength(max + 1);
    await token('a0');
    expect(issuer.requests).toHaveLength(max + 2);
    await token('x'.repeat(4_000));
    await token('x'.repeat(4_000));
    expect(issuer.requests).toHaveLength(max + 4);
  });

  it('serves nothing of a time that the clock was set back behind', async () => {
    const { clock, entries, token } = createPlane();
    entries.put(fakeEntry('web'));
    const first = await token('a');
    clock.jump(clock.now() - minutes(60));
    expect(await token('a')).not.toBe(first);
  });
});

describe('fetchTrust', () => {
  it('has the own bundle and those that the entries federate with, no others', async () => {
    const { entries, issuer, source, self, trust, clock } = createPlane();
    const [b, c] = ['b.test', 'c.test'].map((name) =>
      new FakeJwtIssuer(clock, TrustDomain.parse(name), () => undefined).bundle(),
    );
    if (b === undefined || c === undefined) throw new Error('no bundles');
    trust.set(issuer.bundle(), b, c);
    expect(await source.fetchTrust(self, never)).toMatchObject({ hasIdentity: false });
    entries.put(fakeEntry('web', { federatesWith: [b.trustDomain, TrustDomain.parse('d.test')] }));
    const { hasIdentity, own, federated } = await source.fetchTrust(self, never);
    expect([hasIdentity, own.trustDomain.name, [...federated.keys()]]).toEqual([
      true,
      'a.test',
      ['b.test'],
    ]);
  });

  it('knows what is revoked, whichever agent it was issued through', async () => {
    const { source, self, revoked, clock } = createPlane();
    const index = buildRevocationIndex([
      {
        id: 'r',
        kind: 'spiffe-id',
        value: 'spiffe://a.test/web',
        issuedBefore: clock.now(),
        expiresAt: clock.now() + 60_000,
        reason: '',
      },
    ]);
    const subjects: RevocationSubject[] = [];
    revoked.find = (subject) => {
      subjects.push(subject);
      return findRevocation(index, subject);
    };
    const { isRevoked } = await source.fetchTrust(self, never);
    const spiffeId = SpiffeId.parse('spiffe://a.test/web');
    expect(isRevoked({ spiffeId, issuedAt: clock.now() - 1 })).toBe(true);
    expect(isRevoked({ spiffeId, issuedAt: undefined })).toBe(true);
    expect(isRevoked({ spiffeId, issuedAt: clock.now() })).toBe(false);
    // An agent's view would put its own ID where none stands.
    expect(subjects.every((subject) => 'agentId' in subject)).toBe(true);
    const other = SpiffeId.parse('spiffe://a.test/db');
    expect(isRevoked({ spiffeId: other, issuedAt: 0 })).toBe(false);
  });

  it('tells which SPIFFE IDs of a trust domain are accepted, as of now', async () => {
    const { trust, source, self } = createPlane();
    const isAccepted = async (id: string) =>
      (await source.fetchTrust(self, never)).isAccepted(SpiffeId.parse(id));
    expect(await isAccepted('spiffe://b.test/other')).toBe(true);
    trust.setTerms(['b.test', testTerms('b.test', '/payments/**')]);
    expect(await isAccepted('spiffe://b.test/payments/x')).toBe(true);
    expect(await isAccepted('spiffe://b.test/other')).toBe(false);
    expect(await isAccepted('spiffe://a.test/other')).toBe(true);
  });

  it('leaves nothing behind when it is closed', () => {
    const { entries, trust, source } = createPlane();
    expect([entries.listeners, trust.listeners]).toEqual([1, 1]);
    source.close();
    expect([entries.listeners, trust.listeners]).toEqual([0, 0]);
  });
});
