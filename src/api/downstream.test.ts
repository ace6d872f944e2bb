import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { openFleet } from '../../test/fakes/open-fleet.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { writeCaCsr } from '../ca/ca-csr.ts';
import { createSigningKey } from '../ca/private-key.ts';
import {
  generateP256KeyPair,
  parseCertificate,
  TrustDomain,
  verifyCertificateChain,
} from '../spiffe/index.ts';

interface Minted {
  readonly ca_cert_chain: readonly Uint8Array[];
  readonly x509_authorities: readonly Uint8Array[];
}

const trustDomain = TrustDomain.parse('a.test');
const denied = expect.objectContaining({ code: status.PERMISSION_DENIED });
const invalid = expect.objectContaining({ code: status.INVALID_ARGUMENT });

/** A fleet with a server below, whose entry has these fields too. */
async function openWith(more: object = {}) {
  const fleet = await openFleet();
  const draft = { id: 'below', downstream: true, ...more };
  const entry = await fleet.entries.create(testDraft('below', undefined, draft));
  const identity = await fleet.issueIdentity('spiffe://a.test/below');
  const client = fleet.dial(identity);
  const mint = async (request: object): Promise<Minted> =>
    Object(await client.call('SVID.NewDownstreamX509CA', request));
  return { ...fleet, entry, client, mint };
}

function caKey(curve = 'P-256') {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
  return createSigningKey('k', curve === 'P-256' ? 'ec-p256' : 'ec-p384', privateKey);
}

describe('NewDownstreamX509CA', () => {
  it('signs an authority that leads to a root of the bundle', async () => {
    const { mint, clock, polled } = await openWith();
    const key = caKey('P-384');
    const csr = await writeCaCsr(key, trustDomain);
    const { ca_cert_chain, x509_authorities } = await mint({ csr, preferred_ttl: 600 });
    const chain = ca_cert_chain.map(parseCertificate);
    const roots = x509_authorities.map(parseCertificate);
    const [authority] = verifyCertificateChain(chain, roots, clock.now());
    expect(authority).toMatchObject({
      isCa: true,
      pathLength: 3,
      uriSans: ['spiffe://a.test'],
      notAfter: Math.floor(clock.now() / 1000) * 1000 + 600_000,
    });
    expect(Buffer.from(authority?.publicKey ?? []).equals(key.publicKey)).toBe(true);
    expect([...polled]).toEqual(['spiffe://a.test/below']);
  });

  it('lives as long as the entry says at most, and ends with it', async () => {
    const endsIn = 120;
    const fleet = await openFleet();
    const { clock } = fleet;
    const { mint } = await openWith({ x509SvidTtlSeconds: 300 });
    const csr = await writeCaCsr(caKey(), trustDomain);
    const life = async (request: object): Promise<number> => {
      const { ca_cert_chain } = await mint(request);
      const { notAfter } = parseCertificate(ca_cert_chain[0] ?? new Uint8Array());
      return (notAfter - Math.floor(clock.now() / 1000) * 1000) / 1000;
    };
    expect(await life({ csr })).toBe(300);
    expect(await life({ csr, preferred_ttl: 60 })).toBe(60);
    expect(await life({ csr, preferred_ttl: 86_400 * 365 })).toBe(300);
    const ending = await openWith({ expiresAtSeconds: Math.floor(clock.now() / 1000) + endsIn });
    const { ca_cert_chain } = await ending.mint({ csr });
    const { notAfter } = parseCertificate(ca_cert_chain[0] ?? new Uint8Array());
    expect(notAfter).toBe((Math.floor(clock.now() / 1000) + endsIn) * 1000);
  });

  it.each<[string, () => Promise<Uint8Array>]>([
    ['of another trust domain', () => writeCaCsr(caKey(), TrustDomain.parse('b.test'))],
    ['that is none', async () => Buffer.of(48, 0)],
    [
      'for a weak key',
      async () => {
        const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
        return await writeCaCsr(createSigningKey('k', 'rsa-2048', privateKey), trustDomain);
      },
    ],
    [
      'with a wrong signature',
      async () => {
        const csr = Buffer.from(await writeCaCsr(caKey(), trustDomain));
        csr.writeUInt8(csr.readUInt8(csr.length - 1) ^ 1, csr.length - 1);
        return csr;
      },
    ],
  ])('refuses a request %s', async (_, makeCsr) => {
    const { mint } = await openWith();
    await expect(mint({ csr: await makeCsr() })).rejects.toEqual(invalid);
    await expect(mint({ csr: await makeCsr(), preferred_ttl: -1 })).rejects.toEqual(invalid);
  });

  it('is for workloads whose entry is downstream, now', async () => {
    const { mint, entries, entry, join, dial, issueIdentity, clock } = await openWith();
    const csr = await writeCaCsr(caKey(), trustDomain);
    const agent = dial(await join());
    const workload = dial(await issueIdentity('spiffe://a.test/web'));
    for (const stranger of [agent, workload, dial()]) {
      await expect(stranger.call('SVID.NewDownstreamX509CA', { csr })).rejects.toEqual(denied);
      await expect(stranger.call('Bundle.PublishJWTAuthority', {})).rejects.toEqual(denied);
    }
    await mint({ csr });
    await entries.delete(entry.entry.id);
    await expect(mint({ csr })).rejects.toEqual(denied);
    const expiring = await openWith({ expiresAtSeconds: Math.floor(clock.now() / 1000) + 60 });
    expiring.clock.advance(61_000);
    await expect(expiring.mint({ csr })).rejects.toEqual(denied);
  });
});

describe('PublishJWTAuthority', () => {
  const key = (keyId: string, expiresAt: number) => ({
    key_id: keyId,
    public_key: generateP256KeyPair().publicKey,
    expires_at: String(Math.floor(expiresAt / 1000)),
  });

  it('puts a key into the bundle until it ends, and answers with all', async () => {
    const { client, clock, ownBundle } = await openWith();
    const request = { jwt_authority: key('k1', clock.now() + 60_000) };
    const answer = await client.call('Bundle.PublishJWTAuthority', request);
    expect(answer).toMatchObject({
      jwt_authorities: [{ key_id: expect.any(String) }, { key_id: 'k1' }],
    });
    await client.call('Bundle.PublishJWTAuthority', request);
    expect(ownBundle.current().jwtAuthorities).toHaveLength(2);
    const other = { jwt_authority: key('k1', clock.now() + 60_000) };
    await expect(client.call('Bundle.PublishJWTAuthority', other)).rejects.toEqual(
      expect.objectContaining({ code: status.ALREADY_EXISTS }),
    );
  });

  it.each<[string, (now: number) => object]>([
    ['no key', () => ({})],
    ['a key that has ended', (now) => ({ jwt_authority: key('k', now) })],
    ['a key without an end', () => ({ jwt_authority: { ...key('k', 0), expires_at: '0' } })],
    [
      'a key that ends in more than 30 days',
      (now) => ({ jwt_authority: key('k', now + 30 * 86_400_000 + 1_000) }),
    ],
    ['a key without an ID', (now) => ({ jwt_authority: key('', now + 60_000) })],
    [
      'what is no key',
      (now) => ({ jwt_authority: { ...key('k', now + 60_000), public_key: randomBytes(91) } }),
    ],
  ])('refuses %s', async (_, build) => {
    const { client, clock } = await openWith();
    const call = client.call('Bundle.PublishJWTAuthority', build(clock.now()));
    await expect(call).rejects.toEqual(invalid);
  });

  it('takes a key for 30 days', async () => {
    const { client, clock, ownBundle } = await openWith();
    const jwt_authority = key('k1', clock.now() + 30 * 86_400_000);
    await client.call('Bundle.PublishJWTAuthority', { jwt_authority });
    expect(ownBundle.current().jwtAuthorities).toHaveLength(2);
  });

  it('refuses more than the bundle has room for', async () => {
    const { client, clock } = await openWith();
    const publish = (index: number) =>
      client.call('Bundle.PublishJWTAuthority', {
        jwt_authority: key(`k${index}`, clock.now() + 60_000),
      });
    for (let index = 0; index < 256; index++) await publish(index);
    await expect(publish(256)).rejects.toEqual(
      expect.objectContaining({ code: status.RESOURCE_EXHAUSTED }),
    );
  });
});
