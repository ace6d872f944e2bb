import { afterEach, describe, expect, it } from 'vitest';
import {
  type CaGround,
  type CaWorld,
  createCaGround,
  issueVerified,
  startCa,
  testWorkloadId,
} from '../../test/fakes/ca-world.ts';
import { settle } from '../../test/fakes/fake-clock.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import { createMetrics } from '../ops/index.ts';
import {
  generateP256KeyPair,
  parseCertificate,
  parseX509Svid,
  TrustDomain,
  TrustplaneError,
  verifyX509Svid,
} from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { createMemoryKeyManager } from './memory-key-manager.ts';
import type { X509CaOptions } from './x509-ca-options.ts';

const worlds: CaWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function start(ground?: CaGround, options?: Partial<X509CaOptions>): Promise<CaWorld> {
  const world = await startCa(ground, options);
  worlds.push(world);
  return world;
}

const publicKey = generateP256KeyPair().publicKey;
const request = { spiffeId: testWorkloadId, publicKey, ttlSeconds: 0, dnsNames: [] };
const withCode = (code: string) => expect.objectContaining({ code });
const HOUR_MS = 3_600_000;

/** Throws unless the new authority is trusted and leaves are still signed by another. */
async function checkNotYetSigning(world: CaWorld, authority: Uint8Array): Promise<void> {
  const { x509Authorities } = world.trustMap.current().own;
  if (!x509Authorities.some(({ certificate }) => Buffer.from(certificate).equals(authority))) {
    throw new Error('an authority becomes active before it is trusted');
  }
  const { leaf } = parseX509Svid((await issueVerified(world)).certificateChain);
  const { subjectKeyId } = parseCertificate(authority);
  if (Buffer.from(subjectKeyId ?? []).equals(leaf.authorityKeyId ?? new Uint8Array())) {
    throw new Error('an authority signs before the journal says so');
  }
}

describe('rotation', () => {
  it('goes through its steps in order and prunes what expired', async () => {
    const world = await start();
    const events: string[] = [];
    const first = world.ca.status().authorities[0]?.authorityId;
    world.ca.onRotation(({ type, authorityId }) =>
      events.push(`${type} ${authorityId === first ? 'first' : 'other'}`),
    );
    await world.clock.advanceAsync(12 * HOUR_MS);
    expect(events).toEqual(['prepare other', 'publish other']);
    await world.clock.advanceAsync(8 * HOUR_MS);
    expect(events.slice(2)).toEqual(['activate other']);
    expect(world.ca.status().authorities.map(({ state }) => state)).toEqual(['old', 'active']);
    await world.clock.advanceAsync(4 * HOUR_MS + 60_000);
    expect(events.slice(3)).toEqual(['prepare other', 'publish other', 'prune first']);
    expect(await world.keyManager.listKeys()).toHaveLength(2);
  });

  it('shows a new authority in the trust map before the first leaf it can sign, over many rotations', async () => {
    const ground = createCaGround();
    let world: CaWorld | undefined;
    let activations = 0;
    let signing: string | undefined;
    const put: Bucket['put'] = async (key, value, expected) => {
      const text = Buffer.from(value).toString();
      const active = /"state":"active","issuedAt":\d+,"certificate":"([^"]+)"/u.exec(text)?.[1];
      if (key === 'x509.s1' && active !== signing) {
        if (world !== undefined)
          await checkNotYetSigning(world, Buffer.from(active ?? '', 'base64'));
        signing = active;
        activations++;
      }
      return ground.bucket.put(key, value, expected);
    };
    const bucket = overBucket(ground.bucket, { put });
    world = await start({ ...ground, bucket }, { caTtlSeconds: 60, x509SvidTtlSeconds: 5 });
    for (let second = 0; second < 1200; second++) {
      await issueVerified(world);
      await world.clock.advanceAsync(1000);
    }
    expect(activations).toBeGreaterThan(35);
    expect(world.ca.status().failure).toBeUndefined();
  });

  it('keeps every leaf valid until it expires, with a CA of 10 s and leaves of 3 s', async () => {
    const world = await start(undefined, { caTtlSeconds: 10, x509SvidTtlSeconds: 3 });
    const { clock, trustMap } = world;
    const authorities = new Set<string>();
    for (let tick = 0; tick < 600; tick++) {
      const svid = await issueVerified(world);
      authorities.add(
        world.ca.status().authorities.find(({ state }) => state === 'active')?.authorityId ?? '',
      );
      expect(svid.expiresAt - clock.now()).toBeGreaterThan(0);
      const until = svid.expiresAt - clock.now();
      clock.setTimer(until - 1, () =>
        verifyX509Svid(parseX509Svid(svid.certificateChain), trustMap.current().own, clock.now()),
      );
      await clock.advanceAsync(333);
    }
    expect(authorities.size).toBeGreaterThan(35);
    expect(trustMap.current().own.x509Authorities.length).toBeLessThanOrEqual(4);
  });

  it('makes a new authority at once when all have expired', async () => {
    const world = await start();
    world.clock.jump(world.clock.now() + 1000 * HOUR_MS);
    await expect(world.ca.issueX509Svid(request)).rejects.toThrow(withCode('ERR_CA_EXPIRED'));
    expect(world.ca.status().health).toBe('failing');
    await settle();
    expect((await issueVerified(world)).certificateChain).toHaveLength(1);
    expect(world.ca.status()).toMatchObject({ health: 'ok', canSign: true });
    await world.clock.advanceAsync(60_000);
    expect(world.ca.status().authorities.map(({ state }) => state)).toEqual(['active']);
  });

  it('notices a jump of the clock within a minute also when nobody asks for a leaf', async () => {
    const world = await start();
    world.clock.jump(world.clock.now() + 13 * HOUR_MS);
    await world.clock.advanceAsync(60_000);
    expect(world.ca.status().authorities.map(({ state }) => state)).toEqual(['active', 'prepared']);
  });

  it('replaces an authority of the future when the clock is set right', async () => {
    const world = await start();
    world.clock.jump(world.clock.now() - 1000 * HOUR_MS);
    await expect(world.ca.issueX509Svid(request)).rejects.toThrow(withCode('ERR_CA_CLOCK'));
    await settle();
    expect((await issueVerified(world)).certificateChain).toHaveLength(1);
    const { health, authorities } = world.ca.status();
    expect(health).toBe('ok');
    expect(authorities.map(({ state }) => state)).toEqual(['old', 'active']);
    expect(authorities.every(({ isPublished }) => isPublished)).toBe(true);
  });

  it('makes nothing new when the clock is set back a little, and signs from the notBefore of the authority on', async () => {
    const world = await start();
    await world.clock.advanceAsync(HOUR_MS);
    const before = world.ca.status().authorities;
    world.clock.jump(world.clock.now() - HOUR_MS - 10_000);
    expect((await issueVerified(world)).certificateChain).toHaveLength(1);
    const svid = await world.ca.issueX509Svid(request);
    expect(svid.notBefore).toBe(before[0]?.notBefore);
    world.clock.jump(world.clock.now() - 60_000);
    await expect(world.ca.issueX509Svid(request)).rejects.toThrow(withCode('ERR_CA_CLOCK'));
    await world.clock.advanceAsync(600_000);
    expect(world.ca.status().authorities).toEqual(before);
    expect((await issueVerified(world)).certificateChain).toHaveLength(1);
  });
});

describe('restart', () => {
  it('takes up the same authorities and writes nothing', async () => {
    const ground = createCaGround();
    const first = await startCa(ground);
    await ground.clock.advanceAsync(13 * HOUR_MS);
    const before = first.ca.status().authorities;
    await first.close();
    const { revision } = await ground.bucket.list('');
    const second = await start(ground);
    expect(second.ca.status().authorities).toEqual(before);
    expect((await ground.bucket.list('')).revision).toBe(revision);
    await issueVerified(second);
  });

  it('starts with a clock that was set back, and signs when it has caught up', async () => {
    const ground = createCaGround();
    const first = await startCa(ground);
    await first.close();
    ground.clock.jump(ground.clock.now() - 80_000);
    const second = await start(ground);
    expect(second.ca.status().health).toBe('failing');
    await expect(second.ca.issueX509Svid(request)).rejects.toThrow(withCode('ERR_CA_CLOCK'));
    await ground.clock.advanceAsync(80_000);
    expect((await issueVerified(second)).certificateChain).toHaveLength(1);
  });

  it('refuses to start without the key of the active authority, and changes nothing', async () => {
    const ground = createCaGround();
    await (await startCa(ground)).close();
    const { revision } = await ground.bucket.list('');
    const keyManager = { ...createMemoryKeyManager(), isDurable: true };
    await expect(startCa({ ...ground, keyManager })).rejects.toThrow(
      withCode('ERR_CA_KEY_MISSING'),
    );
    expect((await ground.bucket.list('')).revision).toBe(revision);
  });

  it('refuses to start with another key in place of the active one', async () => {
    const ground = createCaGround();
    await (await startCa(ground)).close();
    const [keyId = ''] = await ground.keyManager.listKeys();
    await ground.keyManager.deleteKey(keyId);
    await ground.keyManager.generateKey(keyId, 'ec-p256');
    await expect(startCa(ground)).rejects.toThrow(withCode('ERR_CA_KEY_MISSING'));
  });

  it('replaces authorities whose keys were only in memory, and keeps them trusted', async () => {
    const ground = createCaGround();
    const first = await startCa({ ...ground, keyManager: createMemoryKeyManager() });
    const kept = await issueVerified(first);
    await first.close();
    const second = await start({ ...ground, keyManager: createMemoryKeyManager() });
    expect(second.ca.status().authorities.map(({ state }) => state)).toEqual(['old', 'active']);
    await issueVerified(second);
    const { own } = second.trustMap.current();
    expect(() =>
      verifyX509Svid(parseX509Svid(kept.certificateChain), own, ground.clock.now()),
    ).not.toThrow();
  });

  it.each([
    ['no JSON', 'x'],
    ['a later version', '{"v":2,"authorities":[]}'],
    ['unknown members', '{"v":1,"authorities":[],"more":1}'],
    [
      'a certificate that is none',
      '{"v":1,"authorities":[{"keyId":"k","state":"active","issuedAt":1,"certificate":"AAAA"}]}',
    ],
  ])('refuses a journal with %s', async (_, text) => {
    const ground = createCaGround();
    await ground.bucket.put('x509.s1', Buffer.from(text));
    await expect(startCa(ground)).rejects.toThrow(withCode('ERR_CA_JOURNAL'));
  });

  it('refuses the journal of another trust domain', async () => {
    const ground = createCaGround();
    await (await startCa(ground)).close();
    await expect(startCa(ground, { trustDomain: TrustDomain.parse('b.test') })).rejects.toThrow(
      withCode('ERR_CA_JOURNAL'),
    );
  });
});

describe('failures', () => {
  it('are counted and retried with growing pauses while it goes on signing', async () => {
    const ground = createCaGround();
    const { bucket } = ground;
    let isDown = false;
    let attempts = 0;
    const down = async (): Promise<never> => {
      attempts++;
      throw new TrustplaneError('ERR_STORE_UNAVAILABLE', 'down');
    };
    const flaky = overBucket(bucket, {
      get: (key) => (isDown ? down() : bucket.get(key)),
      put: (key, value, expected) => (isDown ? down() : bucket.put(key, value, expected)),
    });
    const metrics = createMetrics();
    const world = await start({ ...ground, bucket: flaky }, { metrics });
    isDown = true;
    await world.clock.advanceAsync(12 * HOUR_MS + 100_000);
    const { health, failure } = world.ca.status();
    expect(health).toBe('degraded');
    expect(failure).toMatchObject({ error: { code: 'ERR_STORE_UNAVAILABLE' } });
    expect(attempts).toBeGreaterThan(10);
    expect(attempts).toBeLessThan(30);
    expect(await metrics.render()).toContain(
      `trustplane_ca_rotation_failures_total{kind="x509"} ${failure?.count}`,
    );
    await issueVerified(world);
    isDown = false;
    await world.clock.advanceAsync(10_000);
    expect(world.ca.status()).toMatchObject({ health: 'ok', failure: undefined });
    expect(world.ca.status().authorities.map(({ state }) => state)).toEqual(['active', 'prepared']);
    expect(await world.keyManager.listKeys()).toHaveLength(2);
  });

  it('are not retried faster because leaves are asked for', async () => {
    const ground = createCaGround();
    let attempts = 0;
    let isDown = false;
    const world = await start({
      ...ground,
      bucket: overBucket(ground.bucket, {
        async put(key, value, expected) {
          if (isDown) throw new TrustplaneError('ERR_STORE_UNAVAILABLE', 'down');
          return ground.bucket.put(key, value, expected);
        },
        async get(key) {
          attempts++;
          return ground.bucket.get(key);
        },
      }),
    });
    isDown = true;
    await world.clock.advanceAsync(25 * HOUR_MS);
    attempts = 0;
    for (let count = 0; count < 200; count++) {
      await expect(world.ca.issueX509Svid(request)).rejects.toThrow(withCode('ERR_CA_EXPIRED'));
      await settle();
    }
    expect(attempts).toBe(0);
  });

  it('of a journal that another process changed: it is read again, not overwritten', async () => {
    const world = await start();
    const record = await world.bucket.get('x509.s1');
    await world.bucket.put('x509.s1', record?.value ?? new Uint8Array());
    await world.clock.advanceAsync(12 * HOUR_MS);
    expect(world.ca.status().failure).toMatchObject({
      count: 1,
      error: { code: 'ERR_STORE_CONFLICT' },
    });
    await world.clock.advanceAsync(1000);
    expect(world.ca.status()).toMatchObject({ health: 'ok' });
    expect(world.ca.status().authorities.map(({ state }) => state)).toEqual(['active', 'prepared']);
    expect(await world.keyManager.listKeys()).toHaveLength(2);
  });

  it.each<[string, Partial<X509CaOptions>]>([
    ['a CA of one second', { caTtlSeconds: 1 }],
    ['a fractional life', { caTtlSeconds: 3600.5 }],
    ['SVIDs that outlive the CA', { caTtlSeconds: 60, x509SvidTtlSeconds: 61 }],
    ['negative backdating', { backdateSeconds: -1 }],
  ])('at the setup: refuses %s', async (_, options) => {
    await expect(startCa(createCaGround(), options)).rejects.toThrow(withCode('ERR_CA_TTL'));
  });

  it('after close: nothing is signed and no timer is left', async () => {
    const world = await startCa();
    await world.close();
    await expect(world.ca.issueX509Svid(request)).rejects.toThrow(withCode('ERR_CA_CLOSED'));
    expect(world.clock.timers).toBe(0);
  });
});

describe('an SVID under a given authority', () => {
  it('is signed by that one, prepared, active or old, until it is revoked', async () => {
    const { ca, trustMap, clock } = await start();
    const anchorOf = (id: string) => ca.anchors().find(({ authorityId }) => authorityId === id);
    const [first] = ca.anchors();
    if (first === undefined) throw new Error('no authority');
    const second = await ca.prepare();
    for (const id of [first.authorityId, second.authorityId]) {
      const { certificateChain } = await ca.issueX509SvidUnder(id, request);
      const svid = parseX509Svid(certificateChain);
      const x509Authorities = [{ certificate: anchorOf(id)?.anchor ?? publicKey, tainted: false }];
      verifyX509Svid(svid, { ...trustMap.current().own, x509Authorities }, clock.now());
    }
    await ca.activate(second.authorityId, { force: true });
    await ca.issueX509SvidUnder(first.authorityId, request);
    await ca.taint(first.authorityId);
    await ca.revoke(first.authorityId);
    expect(anchorOf(first.authorityId)).toBeUndefined();
    await expect(ca.issueX509SvidUnder(first.authorityId, request)).rejects.toThrow(
      withCode('ERR_CA_AUTHORITY_ID'),
    );
  });
});
