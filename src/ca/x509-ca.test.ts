import { generateKeyPairSync } from 'node:crypto';
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
import { createMetrics } from '../ops/index.ts';
import {
  generateP256KeyPair,
  parseCertificate,
  parseX509Svid,
  SpiffeId,
  TrustplaneError,
  verifyX509Svid,
} from '../spiffe/index.ts';
import { createMemoryKeyManager } from './memory-key-manager.ts';
import type { X509CaOptions } from './x509-ca.ts';

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

describe('CA certificate', () => {
  it('is self-signed and carries the ID of the trust domain (ID-13, X509-6)', async () => {
    const { trustMap } = await start();
    const [authority] = trustMap.current().own.x509Authorities;
    const ca = parseCertificate(authority?.certificate ?? new Uint8Array());
    expect(ca.uriSans).toEqual(['spiffe://a.test']);
    expect(ca.issuer.der).toEqual(ca.subject.der);
    expect(ca.subject.text).toMatch(/^O=trustplane, serialNumber=[0-9a-f]{32}$/);
  });

  it('may sign certificates and CRLs and nothing else (X509-5, X509-12, X509-14)', async () => {
    const { trustMap } = await start();
    const [authority] = trustMap.current().own.x509Authorities;
    const ca = parseCertificate(authority?.certificate ?? new Uint8Array());
    expect(ca.isCa).toBe(true);
    expect(ca.keyUsage?.names).toEqual(new Set(['keyCertSign', 'cRLSign']));
    expect(ca.keyUsage?.isCritical).toBe(true);
    expect(ca.extendedKeyUsage).toBeUndefined();
  });
});

describe('X509-SVID', () => {
  it('has the profile of a leaf (X509-8, X509-10, X509-11, X509-13, X509-20, X509-21)', async () => {
    const { ca, clock, trustMap } = await start();
    const svid = ca.issueX509Svid({ ...request, dnsNames: ['web.a.test', '*.web.a.test'] });
    expect(svid.certificateChain).toHaveLength(1);
    const { leaf } = parseX509Svid(svid.certificateChain);
    const [authority] = trustMap.current().own.x509Authorities;
    const issuer = parseCertificate(authority?.certificate ?? new Uint8Array());
    expect(leaf).toMatchObject({
      isCa: false,
      serialNumber: svid.serialNumber,
      notBefore: clock.now() - 30_000,
      notAfter: clock.now() + HOUR_MS,
      uriSans: ['spiffe://a.test/web'],
      dnsSans: ['web.a.test', '*.web.a.test'],
      subject: { text: 'O=trustplane' },
      signatureAlgorithm: '1.2.840.10045.4.3.2',
    });
    expect(svid).toMatchObject({ notBefore: leaf.notBefore, expiresAt: leaf.notAfter });
    expect(leaf.keyUsage).toMatchObject({ names: new Set(['digitalSignature']), isCritical: true });
    expect(leaf.extendedKeyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(leaf.authorityKeyId).toEqual(issuer.subjectKeyId);
    expect(leaf.subjectKeyId).toHaveLength(20);
    expect(leaf.publicKey).toEqual(publicKey);
  });

  it('has a serial of its issue time and 80 random bits, positive, at most 20 octets (X509-20)', async () => {
    const { ca, clock } = await start();
    const serials = Array.from({ length: 300 }, () => ca.issueX509Svid(request).serialNumber);
    expect(new Set(serials).size).toBe(300);
    for (const serial of serials) {
      expect(serial).toMatch(/^[0-7][0-9a-f]{31}$/);
      expect(Number.parseInt(serial.slice(0, 12), 16)).toBe(clock.now());
    }
  });

  it('is issued for an ID of 2048 bytes (ID-8)', async () => {
    const { ca, trustMap, clock } = await start();
    const spiffeId = SpiffeId.parse(`spiffe://a.test/${'x'.repeat(2048 - 16)}`);
    const { certificateChain } = ca.issueX509Svid({ ...request, spiffeId });
    const svid = parseX509Svid(certificateChain);
    verifyX509Svid(svid, trustMap.current().own, clock.now());
    expect(svid.spiffeId.toString()).toBe(spiffeId.toString());
  });

  it('has a critical SAN when the subject is empty (X509-4)', async () => {
    const profile = { subject: [], commonName: 'none', keyUsages: [] } as const;
    const { ca } = await start(undefined, { profile });
    const { leaf } = parseX509Svid(ca.issueX509Svid(request).certificateChain);
    expect(leaf.subject.text).toBe('');
    expect(leaf.extensions.get('2.5.29.17')).toMatchObject({ isCritical: true });
  });

  it('has the first DNS name as CN and more key usages when the profile asks for them', async () => {
    const profile = {
      subject: [{ type: 'organization', value: 'Example' }],
      commonName: 'first-dns-name',
      keyUsages: ['keyEncipherment', 'keyAgreement'],
    } as const;
    const { ca } = await start(undefined, { profile });
    const dnsNames = [`${'x'.repeat(63)}.a.test`, 'web.a.test'];
    const { leaf } = parseX509Svid(ca.issueX509Svid({ ...request, dnsNames }).certificateChain);
    expect(leaf.subject.text).toBe('O=Example, CN=web.a.test');
    expect(leaf.keyUsage?.names).toEqual(
      new Set(['digitalSignature', 'keyEncipherment', 'keyAgreement']),
    );
  });

  it.each(['ec-p256', 'ec-p384', 'rsa-2048'] as const)(
    'is signed with a key of type %s',
    async (keyType) => {
      const world = await start(undefined, { keyType });
      expect(issueVerified(world).certificateChain).toHaveLength(1);
    },
  );

  it.each([
    ['of another trust domain', SpiffeId.parse('spiffe://b.test/web')],
    ['of the trust domain itself (X509-3)', SpiffeId.parse('spiffe://a.test')],
  ])('is refused for an ID %s', async (_, spiffeId) => {
    const { ca } = await start();
    expect(() => ca.issueX509Svid({ ...request, spiffeId })).toThrow(withCode('ERR_CA_SPIFFE_ID'));
  });

  it.each([
    '',
    'a..b',
    '-a',
    'a b',
    'a*.b',
    '*',
    'ä.b',
    'a.b.',
    'x'.repeat(64),
    `${'a.'.repeat(130)}b`,
  ])('is refused with the DNS name %j', async (name) => {
    const { ca } = await start();
    expect(() => ca.issueX509Svid({ ...request, dnsNames: [name] })).toThrow(
      withCode('ERR_CA_DNS_NAME'),
    );
  });

  it('is refused for a weak key, and for no key', async () => {
    const { ca } = await start();
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    const spki = weak.export({ type: 'spki', format: 'der' });
    expect(() => ca.issueX509Svid({ ...request, publicKey: spki })).toThrow(
      withCode('ERR_PUBLIC_KEY'),
    );
    expect(() => ca.issueX509Svid({ ...request, publicKey: new Uint8Array(91) })).toThrow(
      withCode('ERR_DER'),
    );
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'is refused with the lifetime %d',
    async (ttlSeconds) => {
      const { ca } = await start();
      expect(() => ca.issueX509Svid({ ...request, ttlSeconds })).toThrow(withCode('ERR_CA_TTL'));
    },
  );

  it('ends neither beyond its issuer nor beyond the limit (X509-20)', async () => {
    const { ca, clock } = await start();
    const [authority] = ca.status().authorities;
    const long = ca.issueX509Svid({ ...request, ttlSeconds: 30 * 86_400 });
    expect(long.expiresAt).toBe(authority?.notAfter);
    const notAfterLimit = clock.now() + 90_500;
    expect(ca.issueX509Svid({ ...request, notAfterLimit }).expiresAt).toBe(clock.now() + 90_000);
    expect(() => ca.issueX509Svid({ ...request, notAfterLimit: clock.now() })).toThrow(
      withCode('ERR_CA_TTL'),
    );
  });
});

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
    const { bucket } = ground;
    let world: CaWorld | undefined;
    let activations = 0;
    const watched: CaGround = {
      ...ground,
      bucket: {
        get: (key) => bucket.get(key),
        list: (prefix) => bucket.list(prefix),
        delete: (key, expected) => bucket.delete(key, expected),
        watch: (prefix, from, signal) => bucket.watch(prefix, from, signal),
        async put(key, value, expected) {
          const text = Buffer.from(value).toString();
          const active = /"state":"active","issuedAt":\d+,"certificate":"([^"]+)"/.exec(text)?.[1];
          if (key === 'x509.s1' && active !== undefined && world !== undefined) {
            const { x509Authorities } = world.trustMap.current().own;
            const encoded = x509Authorities.map(({ certificate }) =>
              Buffer.from(certificate).toString('base64'),
            );
            expect(encoded).toContain(active);
            activations++;
          }
          return bucket.put(key, value, expected);
        },
      },
    };
    world = await start(watched, { caTtlSeconds: 60, x509SvidTtlSeconds: 5 });
    for (let second = 0; second < 1200; second++) {
      issueVerified(world);
      await world.clock.advanceAsync(1000);
    }
    expect(activations).toBeGreaterThan(35);
  });

  it('keeps every leaf valid until it expires, with a CA of 10 s and leaves of 3 s', async () => {
    const world = await start(undefined, { caTtlSeconds: 10, x509SvidTtlSeconds: 3 });
    const { clock, trustMap } = world;
    const authorities = new Set<string>();
    for (let tick = 0; tick < 600; tick++) {
      const svid = issueVerified(world);
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
    expect(() => world.ca.issueX509Svid(request)).toThrow(withCode('ERR_CA_EXPIRED'));
    expect(world.ca.status().health).toBe('failing');
    await settle();
    expect(issueVerified(world).certificateChain).toHaveLength(1);
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

  it('makes nothing new when the clock is set back, and signs from the notBefore of the authority on', async () => {
    const world = await start();
    await world.clock.advanceAsync(HOUR_MS);
    const before = world.ca.status().authorities;
    world.clock.jump(world.clock.now() - HOUR_MS - 10_000);
    expect(issueVerified(world).certificateChain).toHaveLength(1);
    const svid = world.ca.issueX509Svid(request);
    expect(svid.notBefore).toBe(before[0]?.notBefore);
    world.clock.jump(world.clock.now() - 60_000);
    expect(() => world.ca.issueX509Svid(request)).toThrow(withCode('ERR_CA_CLOCK'));
    await world.clock.advanceAsync(600_000);
    expect(world.ca.status().authorities).toEqual(before);
    expect(issueVerified(world).certificateChain).toHaveLength(1);
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
    issueVerified(second);
  });

  it('starts with a clock that was set back, and signs when it has caught up', async () => {
    const ground = createCaGround();
    const first = await startCa(ground);
    await first.close();
    ground.clock.jump(ground.clock.now() - HOUR_MS);
    const second = await start(ground);
    expect(second.ca.status().health).toBe('failing');
    expect(() => second.ca.issueX509Svid(request)).toThrow(withCode('ERR_CA_CLOCK'));
    await ground.clock.advanceAsync(HOUR_MS);
    expect(issueVerified(second).certificateChain).toHaveLength(1);
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

  it('replaces authorities whose keys were only in memory, and keeps them trusted', async () => {
    const ground = createCaGround();
    const first = await startCa({ ...ground, keyManager: createMemoryKeyManager() });
    const kept = issueVerified(first);
    await first.close();
    const second = await start({ ...ground, keyManager: createMemoryKeyManager() });
    expect(second.ca.status().authorities.map(({ state }) => state)).toEqual(['old', 'active']);
    issueVerified(second);
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
    const { TrustDomain } = await import('../spiffe/index.ts');
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
    const flaky: CaGround = {
      ...ground,
      bucket: {
        get: (key) => (isDown ? down() : bucket.get(key)),
        list: (prefix) => bucket.list(prefix),
        delete: (key, expected) => bucket.delete(key, expected),
        watch: (prefix, from, signal) => bucket.watch(prefix, from, signal),
        put: (key, value, expected) => (isDown ? down() : bucket.put(key, value, expected)),
      },
    };
    const metrics = createMetrics();
    const world = await start(flaky, { metrics });
    isDown = true;
    await world.clock.advanceAsync(12 * HOUR_MS + 100_000);
    const { health, failure } = world.ca.status();
    expect(health).toBe('degraded');
    expect(failure).toMatchObject({ error: { code: 'ERR_STORE_UNAVAILABLE' } });
    expect(attempts).toBeGreaterThan(10);
    expect(attempts).toBeLessThan(30);
    expect(await metrics.render()).toContain(
      `trustplane_ca_rotation_failures_total ${failure?.count}`,
    );
    issueVerified(world);
    isDown = false;
    await world.clock.advanceAsync(10_000);
    expect(world.ca.status()).toMatchObject({ health: 'ok', failure: undefined });
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
    expect(() => world.ca.issueX509Svid(request)).toThrow(withCode('ERR_CA_CLOSED'));
    expect(world.clock.timers).toBe(0);
  });
});
