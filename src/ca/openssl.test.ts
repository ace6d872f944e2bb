import { once } from 'node:events';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { createCaGround, startCa, testWorkloadId } from '../../test/fakes/ca-world.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { verifyWithOpenssl } from '../../test/programs/openssl.ts';
import { generateP256KeyPair, SpiffeId } from '../spiffe/index.ts';
import type { KeyType } from './key-manager.ts';
import type { X509CaOptions } from './x509-ca-options.ts';

const now = (): FakeClock => new FakeClock(Date.now());

async function issue(
  options: Partial<X509CaOptions>,
  spiffeId: SpiffeId = testWorkloadId,
  clock: FakeClock = now(),
) {
  const world = await startCa(createCaGround(clock), options);
  const keyPair = generateP256KeyPair();
  const svid = await world.ca.issueX509Svid({
    spiffeId,
    publicKey: keyPair.publicKey,
    ttlSeconds: 0,
    dnsNames: ['web.a.test'],
  });
  const authorities = world.trustMap.current().own.x509Authorities;
  await world.close();
  return {
    chain: svid.certificateChain,
    privateKey: keyPair.privateKey,
    authorities: authorities.map(({ certificate }) => certificate),
  };
}

describe('OpenSSL, strict', () => {
  const emptySubject = { subject: [], commonName: 'none', keyUsages: [] } as const;
  it.each<[string, Partial<X509CaOptions>, SpiffeId]>([
    ['EC P-256', { keyType: 'ec-p256' }, testWorkloadId],
    ['EC P-384', { keyType: 'ec-p384' }, testWorkloadId],
    ['RSA 2048', { keyType: 'rsa-2048' }, testWorkloadId],
    ['an empty subject (X509-4)', { profile: emptySubject }, testWorkloadId],
    ['an ID of 2048 bytes (ID-8)', {}, SpiffeId.parse(`spiffe://a.test/${'x'.repeat(2032)}`)],
    [
      'a life beyond 2050',
      { caTtlSeconds: 10 * 365 * 86_400, x509SvidTtlSeconds: 10 * 365 * 86_400 },
      testWorkloadId,
    ],
  ])('accepts CA and leaf for servers and clients: %s', async (name, options, spiffeId) => {
    const clock = new FakeClock(name.includes('2050') ? Date.parse('2045-06-01') : Date.now());
    const { chain, authorities } = await issue(options, spiffeId, clock);
    const at = clock.now();
    for (const purpose of ['server', 'client'] as const) {
      const answer = await verifyWithOpenssl({ authorities, chain, purpose, at });
      expect(answer).toMatchObject({ ok: true });
    }
  });

  it('refuses a leaf of another authority of the same name pattern', async () => {
    const [one, other] = [await issue({}), await issue({})];
    const question = { chain: one.chain, authorities: other.authorities };
    expect(await verifyWithOpenssl({ ...question, purpose: 'server' })).toMatchObject({
      ok: false,
    });
  });
});

describe('TLS', () => {
  it.each<[KeyType, 'TLSv1.2' | 'TLSv1.3']>([
    ['ec-p256', 'TLSv1.2'],
    ['ec-p256', 'TLSv1.3'],
    ['ec-p384', 'TLSv1.3'],
    ['rsa-2048', 'TLSv1.3'],
  ])('authenticates both sides with an authority of type %s over %s', async (keyType, version) => {
    const { chain, authorities, privateKey } = await issue({ keyType });
    const identity = {
      cert: chain.map((certificate) => pem(certificate)).join(''),
      key: pem(privateKey, 'PRIVATE KEY'),
      ca: authorities.map((certificate) => pem(certificate)),
      minVersion: version,
      maxVersion: version,
    };
    const server = createServer({ ...identity, requestCert: true, rejectUnauthorized: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = new Promise<TLSSocket>((resolve) => {
      server.once('secureConnection', resolve);
    });
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const client = connect({ ...identity, port, host: '127.0.0.1', servername: 'web.a.test' });
    await once(client, 'secureConnect');
    const peer = await accepted;
    expect(client.authorized).toBe(true);
    expect(peer.authorized).toBe(true);
    expect(peer.getPeerCertificate().subjectaltname).toBe(
      'URI:spiffe://a.test/web, DNS:web.a.test',
    );
    client.destroy();
    server.close();
    await once(server, 'close');
  });
});

function pem(der: Uint8Array, label = 'CERTIFICATE'): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64')}\n-----END ${label}-----\n`;
}
