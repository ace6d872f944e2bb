import { generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type CaGround,
  type CaWorld,
  issueVerified,
  startCa,
  testWorkloadId,
} from '../../test/fakes/ca-world.ts';
import {
  generateP256KeyPair,
  parseCertificate,
  parseX509Svid,
  SpiffeId,
  verifyX509Svid,
} from '../spiffe/index.ts';
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
  it('is never past half of its time when it is made, for agents that renew at half of it', async () => {
    const { ca, clock } = await start();
    for (const ttlSeconds of [2, 10, 30, 59, 3600]) {
      const { notBefore, expiresAt } = await ca.issueX509Svid({ ...request, ttlSeconds });
      expect(notBefore).toBeLessThanOrEqual(clock.now());
      expect((notBefore + expiresAt) / 2).toBeGreaterThan(clock.now());
    }
  });

  it('has the profile of a leaf (X509-8, X509-10, X509-11, X509-13, X509-20, X509-21)', async () => {
    const { ca, clock, trustMap } = await start();
    const svid = await ca.issueX509Svid({ ...request, dnsNames: ['web.a.test', '*.web.a.test'] });
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

  it('says nothing beside names, key, usage and issuer (ID-15)', async () => {
    const { ca } = await start();
    const { leaf } = parseX509Svid((await ca.issueX509Svid(request)).certificateChain);
    const usageConstraintsKeysNames = ['15', '37', '19', '14', '35', '17'];
    expect([...leaf.extensions.keys()]).toEqual(
      usageConstraintsKeysNames.map((n) => `2.5.29.${n}`),
    );
  });

  it('has a serial of its issue time and 80 random bits, positive, at most 20 octets (X509-20)', async () => {
    const { ca, clock } = await start();
    const svids = Array.from({ length: 300 }, () => ca.issueX509Svid(request));
    const serials = (await Promise.all(svids)).map(({ serialNumber }) => serialNumber);
    expect(new Set(serials).size).toBe(300);
    for (const serial of serials) {
      expect(serial).toMatch(/^[0-7][0-9a-f]{31}$/);
      expect(Number.parseInt(serial.slice(0, 12), 16)).toBe(clock.now());
    }
  });

  it('is issued for an ID of 2048 bytes (ID-8)', async () => {
    const { ca, trustMap, clock } = await start();
    const spiffeId = SpiffeId.parse(`spiffe://a.test/${'x'.repeat(2048 - 16)}`);
    const { certificateChain } = await ca.issueX509Svid({ ...request, spiffeId });
    const svid = parseX509Svid(certificateChain);
    verifyX509Svid(svid, trustMap.current().own, clock.now());
    expect(svid.spiffeId.toString()).toBe(spiffeId.toString());
  });

  it('has a critical SAN when the subject is empty (X509-4)', async () => {
    const profile = { subject: [], commonName: 'none', keyUsages: [] } as const;
    const { ca } = await start(undefined, { profile });
    const { leaf } = parseX509Svid((await ca.issueX509Svid(request)).certificateChain);
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
    const { leaf } = parseX509Svid(
      (await ca.issueX509Svid({ ...request, dnsNames })).certificateChain,
    );
    expect(leaf.subject.text).toBe('O=Example, CN=web.a.test');
    expect(leaf.keyUsage?.names).toEqual(
      new Set(['digitalSignature', 'keyEncipherment', 'keyAgreement']),
    );
  });

  it.each(['ec-p256', 'ec-p384', 'rsa-2048'] as const)(
    'is signed with a key of type %s',
    async (keyType) => {
      const world = await start(undefined, { keyType });
      expect((await issueVerified(world)).certificateChain).toHaveLength(1);
    },
  );

  it.each([
    ['of another trust domain', SpiffeId.parse('spiffe://b.test/web')],
    ['of the trust domain itself (X509-3)', SpiffeId.parse('spiffe://a.test')],
  ])('is refused for an ID %s', async (_, spiffeId) => {
    const { ca } = await start();
    await expect(ca.issueX509Svid({ ...request, spiffeId })).rejects.toThrow(
      withCode('ERR_CA_SPIFFE_ID'),
    );
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
    await expect(ca.issueX509Svid({ ...request, dnsNames: [name] })).rejects.toThrow(
      withCode('ERR_CA_DNS_NAME'),
    );
  });

  it('is refused for a weak key, and for no key', async () => {
    const { ca } = await start();
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    const spki = weak.export({ type: 'spki', format: 'der' });
    await expect(ca.issueX509Svid({ ...request, publicKey: spki })).rejects.toThrow(
      withCode('ERR_PUBLIC_KEY'),
    );
    await expect(ca.issueX509Svid({ ...request, publicKey: new Uint8Array(91) })).rejects.toThrow(
      withCode('ERR_DER'),
    );
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'is refused with the lifetime %d',
    async (ttlSeconds) => {
      const { ca } = await start();
      await expect(ca.issueX509Svid({ ...request, ttlSeconds })).rejects.toThrow(
        withCode('ERR_CA_TTL'),
      );
    },
  );

  it('ends neither beyond its issuer nor beyond the limit (X509-20)', async () => {
    const { ca, clock } = await start();
    const [authority] = ca.status().authorities;
    const long = await ca.issueX509Svid({ ...request, ttlSeconds: 30 * 86_400 });
    expect(long.expiresAt).toBe(authority?.notAfter);
    const notAfterLimit = clock.now() + 90_500;
    expect((await ca.issueX509Svid({ ...request, notAfterLimit })).expiresAt).toBe(
      clock.now() + 90_000,
    );
    await expect(ca.issueX509Svid({ ...request, notAfterLimit: clock.now() })).rejects.toThrow(
      withCode('ERR_CA_TTL'),
    );
  });
});
