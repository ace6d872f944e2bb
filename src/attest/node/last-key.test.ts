import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeAuthority, type TestCertificate } from '../../../test/fakes/test-certificates.ts';
import { makeIdentity } from '../../../test/fakes/tls-place.ts';
import { exchange, type Tampering } from '../../../test/fakes/x509pop-place.ts';
import { parseX509Svid, TrustDomain } from '../../spiffe/index.ts';
import { createLastKeyAttestation, createLastKeyAttestor } from '../index.ts';

const ID = 'spiffe://a.test/spire/agent/join_token/t1';
const attestor = createLastKeyAttestor({ trustDomain: TrustDomain.parse('a.test'), randomBytes });
let authority: TestCertificate;
let svid: Awaited<ReturnType<typeof makeIdentity>>;

beforeAll(async () => {
  authority = await makeAuthority();
  svid = await makeIdentity({ issuer: authority, uris: [ID] });
});

const flip = (bytes: Uint8Array): Uint8Array =>
  bytes.map((octet, at) => (at === 40 ? octet ^ 1 : octet));

describe('the last key of an agent', () => {
  it('is proved, and says which SVID it is of', async () => {
    const { leaf } = parseX509Svid(svid.certificateChain);
    const node = await exchange(attestor, createLastKeyAttestation(svid, randomBytes));
    expect(node).toEqual({
      agentPath: '/spire/agent/join_token/t1',
      selectors: [],
      canReattest: false,
      returning: { serialNumber: leaf.serialNumber, publicKey: leaf.publicKey },
    });
  });

  it('is not proved with another key', async () => {
    const other = await makeIdentity({ issuer: authority, uris: [ID] });
    const thief = { ...svid, privateKey: other.privateKey };
    const attempt = exchange(attestor, createLastKeyAttestation(thief, randomBytes));
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_PROOF' });
  });

  it.each<[string, Tampering]>([
    ['the signature is another', { response: flip }],
    ['the signature is missing', { response: (bytes) => bytes.subarray(0, 32) }],
    ['the response is empty', { response: () => new Uint8Array() }],
    ['the response is huge', { response: () => new Uint8Array(65_536) }],
    ['it answers another challenge', { challenge: () => new Uint8Array(32) }],
  ])('is not proved when %s', async (_, tampering) => {
    const attempt = exchange(attestor, createLastKeyAttestation(svid, randomBytes), tampering);
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_PROOF' });
  });

  it('is not one of another trust domain', async () => {
    const foreign = await makeIdentity({
      issuer: authority,
      uris: [ID.replace('a.test', 'b.test')],
    });
    const attempt = exchange(attestor, createLastKeyAttestation(foreign, randomBytes));
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_PAYLOAD' });
  });

  it('signs no nonce of another size', async () => {
    const attempt = exchange(attestor, createLastKeyAttestation(svid, randomBytes), {
      challenge: () => new Uint8Array(31),
    });
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_CHALLENGE' });
  });

  it('is nothing but an SVID, whatever else comes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (payload) => {
        const attempt = attestor.attest(payload, () => Promise.reject(new Error('asked')));
        await expect(attempt).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_PAYLOAD' });
      }),
    );
  });
});
