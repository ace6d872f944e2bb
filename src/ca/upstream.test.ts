import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type CaGround,
  type CaWorld,
  createCaGround,
  issueVerified,
  startCa,
  testTrustDomain,
} from '../../test/fakes/ca-world.ts';
import type { FakeClock } from '../../test/fakes/fake-clock.ts';
import {
  createUpstreamPlace,
  makeAuthority,
  type TestAuthority,
  type UpstreamPlace,
} from '../../test/fakes/upstream-place.ts';
import { openOwnBundle } from '../federation/index.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { parseCertificate } from '../spiffe/index.ts';
import { createDiskUpstream } from './disk-upstream.ts';
import type { UpstreamAuthority, UpstreamTrust } from './upstream-authority.ts';
import { openUpstreamFollower, type UpstreamFollower } from './upstream-follower.ts';

const HOUR_MS = 3_600_000;
let toClose: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of toClose.reverse()) await close();
  toClose = [];
});

interface World extends CaWorld {
  readonly follower: UpstreamFollower;
}

/** A CA below the upstream authority, with a follower. */
async function startBelow(ground: CaGround, upstream: UpstreamAuthority): Promise<World> {
  const { clock, bucket } = ground;
  const trustDomain = testTrustDomain;
  const bundle = await openOwnBundle({ bucket, trustDomain, clock, log: silentLog });
  let world: CaWorld | undefined;
  const follower = await openUpstreamFollower({
    upstream,
    publisher: bundle.publisherFor('upstream'),
    rootsInUse: () => rootsInUse(world),
    ownJwtAuthorities: () => bundle.publisherFor('s1').jwtAuthorities(),
    bucket,
    clock,
    log: silentLog,
    metrics: createMetrics(),
  });
  toClose.push(
    () => bundle.close(),
    () => follower.close(),
  );
  world = await startCa(ground, {
    ownBundle: bundle.publisherFor('s1'),
    upstream: follower,
  });
  toClose.push(world.close);
  return { ...world, follower };
}

function rootsInUse(world: CaWorld | undefined): string[] {
  return (world?.ca.status().authorities ?? []).flatMap(({ state, upstreamId }) =>
    state === 'old' || upstreamId === undefined ? [] : [upstreamId],
  );
}

function idOf({ certificate }: TestAuthority): string {
  return Buffer.from(parseCertificate(certificate).subjectKeyId ?? []).toString('hex');
}

function place(): UpstreamPlace {
  const created = createUpstreamPlace();
  toClose.push(async () => await created[Symbol.asyncDispose]());
  return created;
}

function disk(ground: CaGround, files: UpstreamPlace['files']): UpstreamAuthority {
  const { clock } = ground;
  return createDiskUpstream({ ...files, trustDomain: testTrustDomain, clock, random: randomBytes });
}

describe('an upstream authority in files', () => {
  it.each(['ec-p256', 'ec-p384', 'rsa-2048'] as const)(
    'signs the authorities of this server with a key of type %s; the root alone is in the bundle',
    async (keyType) => {
      const ground = createCaGround();
      const root = makeAuthority({ now: ground.clock.now(), keyType });
      const files = place();
      files.write([root], [root]);
      const world = await startBelow(ground, disk(ground, files.files));
      const { certificateChain } = await issueVerified(world);
      expect(certificateChain).toHaveLength(2);
      const { x509Authorities } = world.trustMap.current().own;
      expect(x509Authorities.map(({ certificate }) => certificate)).toEqual([root.certificate]);
      const [authority] = world.ca.status().authorities;
      expect(authority).toMatchObject({ isPublished: true, upstreamId: idOf(root) });
    },
  );

  it('sends what lies between it and the root', async () => {
    const ground = createCaGround();
    const now = ground.clock.now();
    const root = makeAuthority({ now });
    const middle = makeAuthority({ now, issuer: root });
    const files = place();
    files.write([middle], [root]);
    const world = await startBelow(ground, disk(ground, files.files));
    const { certificateChain } = await issueVerified(world);
    expect(Buffer.from(certificateChain[2] ?? [])).toEqual(Buffer.from(middle.certificate));
    const own = parseCertificate(certificateChain[1] ?? new Uint8Array());
    expect(own).toMatchObject({ isCa: true, pathLength: 1, uriSans: [testTrustDomain.id] });
  });

  it('goes on with the same authority after a restart, also when the files are gone', async () => {
    const ground = createCaGround();
    const root = makeAuthority({ now: ground.clock.now() });
    const files = place();
    files.write([root], [root]);
    const first = await startBelow(ground, disk(ground, files.files));
    const [before] = first.ca.status().authorities;
    await first.close();
    await first.follower.close();
    writeFileSync(files.files.certificateFile, '');
    const second = await startBelow(ground, disk(ground, files.files));
    expect(second.ca.status().authorities).toMatchObject([{ authorityId: before?.authorityId }]);
    expect(second.follower.failure).toMatchObject({ code: 'ERR_CA_UPSTREAM_FILE' });
    await issueVerified(second);
  });

  it('is replaced by another one without a gap: both roots stand in the bundle', async () => {
    const ground = createCaGround();
    const [one, other] = [0, 1].map(() => makeAuthority({ now: ground.clock.now() }));
    if (one === undefined || other === undefined) throw new Error('no authorities');
    const files = place();
    files.write([one], [one]);
    const world = await startBelow(ground, disk(ground, files.files));
    const former = await issueVerified(world);
    files.write([other], [other]);
    const prepared = await world.ca.prepare();
    expect(prepared.upstreamId).toBe(idOf(other));
    await world.ca.activate(prepared.authorityId);
    await issueVerified(world);
    expect(world.trustMap.current().own.x509Authorities).toHaveLength(2);
    expect(former.certificateChain).toHaveLength(2);
  });

  it('bounds the life of what it signs by its own', async () => {
    const ground = createCaGround();
    const now = ground.clock.now();
    const root = makeAuthority({ now, lifeMs: HOUR_MS });
    const files = place();
    files.write([root], [root]);
    const { ca } = await startBelow(ground, disk(ground, files.files));
    const [authority] = ca.status().authorities;
    expect(authority?.notAfter).toBe(parseCertificate(root.certificate).notAfter);
  });

  it('may be tainted and revoked when it stands above nothing that signs any more', async () => {
    const ground = createCaGround();
    const now = ground.clock.now();
    const [one, other] = [makeAuthority({ now }), makeAuthority({ now })];
    const files = place();
    files.write([one], [one]);
    const { ca, follower, trustMap, ...world } = await startBelow(
      ground,
      disk(ground, files.files),
    );
    const [old] = ca.status().authorities;
    const id = old?.authorityId ?? '';
    await expect(follower.taintRoot(idOf(one))).rejects.toMatchObject({
      code: 'ERR_CA_AUTHORITY_STATE',
    });
    await expect(follower.taintRoot('00')).rejects.toMatchObject({ code: 'ERR_CA_AUTHORITY_ID' });
    files.write([other], [one, other]);
    await ca.activate((await ca.prepare()).authorityId);
    await follower.refresh();
    await expect(ca.taint(id)).rejects.toMatchObject({ code: 'ERR_CA_UPSTREAM_OWNED' });
    await expect(follower.revokeRoot(idOf(one))).rejects.toMatchObject({
      code: 'ERR_CA_AUTHORITY_STATE',
    });
    await follower.taintRoot(idOf(one));
    await follower.refresh();
    const state = () => trustMap.current().own.x509Authorities.map(({ tainted }) => tainted);
    expect(state()).toEqual([true, false]);
    await follower.revokeRoot(idOf(one));
    await follower.refresh();
    expect(state()).toEqual([false]);
    await follower.close();
    await world.close();
    const again = await startBelow(ground, disk(ground, files.files));
    await again.follower.refresh();
    expect(again.trustMap.current().own.x509Authorities).toHaveLength(1);
  });

  it.each<[string, (place: UpstreamPlace, now: number) => void, string]>([
    [
      'whose key others may read',
      ({ files }) => chmodSync(files.privateKeyFile, 0o644),
      'ERR_KEY_FILE_MODE',
    ],
    [
      'with the key of another',
      ({ files }, now) => {
        writeFileSync(files.privateKeyFile, makeAuthority({ now }).privateKey);
      },
      'ERR_CA_UPSTREAM_FILE',
    ],
    [
      'that leads to no root',
      (at, now) => at.write([makeAuthority({ now })], [makeAuthority({ now })]),
      'ERR_CA_UPSTREAM_FILE',
    ],
    [
      'that may have no authority below it',
      (at, now) => {
        const root = makeAuthority({ now });
        at.write([makeAuthority({ now, issuer: root, pathLength: 0 })], [root]);
      },
      'ERR_CA_PATH_LENGTH',
    ],
    [
      'that has expired',
      (at, now) => {
        const root = makeAuthority({ now: now - 2 * HOUR_MS, lifeMs: HOUR_MS });
        at.write([root], [root]);
      },
      'ERR_CA_UPSTREAM_FILE',
    ],
    [
      'that is no PEM',
      ({ files }) => writeFileSync(files.certificateFile, 'x'),
      'ERR_CA_UPSTREAM_FILE',
    ],
    [
      'whose key is no PEM',
      ({ files }) => writeFileSync(files.privateKeyFile, 'x'),
      'ERR_CA_UPSTREAM_FILE',
    ],
  ])('is refused at the first start: one %s', async (_, damage, code) => {
    const ground = createCaGround();
    const now = ground.clock.now();
    const root = makeAuthority({ now });
    const files = place();
    files.write([root], [root]);
    damage(files, now);
    await expect(startBelow(ground, disk(ground, files.files))).rejects.toMatchObject({ code });
  });
});

describe('upstream trust', () => {
  /** An upstream authority that a test moves by hand. */
  class Upstream implements UpstreamAuthority {
    readonly name = 'above';
    readonly published: string[] = [];
    signer: TestAuthority;
    trust: UpstreamTrust;
    readonly #clock: FakeClock;

    constructor(clock: FakeClock, root: TestAuthority) {
      this.#clock = clock;
      this.signer = root;
      this.trust = trustIn([root]);
    }

    async mint({ csr, ttlSeconds }: { csr: Uint8Array; ttlSeconds: number }) {
      const files = place();
      files.write([this.signer], [this.signer]);
      const minted = await disk({ ...createCaGround(this.#clock) }, files.files).mint({
        csr,
        ttlSeconds,
      });
      return { ...minted, upstreamRoots: [this.signer.certificate] };
    }

    async fetchTrust(): Promise<UpstreamTrust> {
      return this.trust;
    }

    async publishJwt({ keyId }: { keyId: string }): Promise<void> {
      this.published.push(keyId);
    }
  }

  function trustIn(roots: readonly TestAuthority[], tainted?: TestAuthority): UpstreamTrust {
    return {
      x509Authorities: roots.map((root) => ({
        certificate: root.certificate,
        tainted: root === tainted,
      })),
      jwtAuthorities: [],
      isComplete: true,
    };
  }

  it('replaces what stands below a tainted root before the bundle says that it is tainted', async () => {
    const ground = createCaGround();
    const now = ground.clock.now();
    const [one, other] = [makeAuthority({ now }), makeAuthority({ now })];
    const upstream = new Upstream(ground.clock, one);
    const { ca, follower, ownBundle, ...world } = await startBelow(ground, upstream);
    const taints: string[] = [];
    ownBundle.watch(({ x509Authorities }) => {
      const active = ca.status().authorities.find(({ state }) => state === 'active');
      if (x509Authorities.some(({ tainted }) => tainted)) taints.push(active?.upstreamId ?? '');
    });
    upstream.signer = other;
    upstream.trust = trustIn([one, other], one);
    await follower.refresh();
    ground.clock.advance(0);
    expect(taints).toEqual([idOf(other)]);
    await issueVerified({ ca, ownBundle, ...world });
    upstream.trust = trustIn([other]);
    await follower.refresh();
    expect(world.trustMap.current().own.x509Authorities).toHaveLength(1);
    await issueVerified({ ca, ownBundle, ...world });
  });

  it('does not taint while upstream signs with nothing else', async () => {
    const ground = createCaGround();
    const one = makeAuthority({ now: ground.clock.now() });
    const upstream = new Upstream(ground.clock, one);
    const { ca, follower, trustMap } = await startBelow(ground, upstream);
    upstream.trust = trustIn([one], one);
    await follower.refresh();
    expect(ca.health()).toMatchObject({ canSign: true, health: 'degraded' });
    expect(trustMap.current().own.x509Authorities).toMatchObject([{ tainted: false }]);
  });

  it('tells upstream of JWT authorities before they are in the bundle, and again when they are lost there', async () => {
    const ground = createCaGround();
    const one = makeAuthority({ now: ground.clock.now() });
    const upstream = new Upstream(ground.clock, one);
    const { follower, ownBundle } = await startBelow(ground, upstream);
    const publisher = follower.publishing(ownBundle.publisherFor('s1'));
    const publicKey = one.key.publicKey;
    await publisher.publishJwt({ keyId: 'k', publicKey, expiresAt: ground.clock.now() + HOUR_MS });
    expect(upstream.published).toEqual(['k']);
    await follower.refresh();
    expect(upstream.published).toEqual(['k', 'k']);
    const mine = { keyId: 'k', publicKey, tainted: false, expiresAt: ground.clock.now() + HOUR_MS };
    upstream.trust = { ...trustIn([one]), jwtAuthorities: [mine, { ...mine, keyId: 'other' }] };
    await follower.refresh();
    const ids = () => ownBundle.current().jwtAuthorities.map(({ keyId }) => keyId);
    expect(ids()).toEqual(['k', 'other']);
    await publisher.withdrawJwt('k');
    await follower.refresh();
    expect(ids()).toEqual(['other']);
  });
});
