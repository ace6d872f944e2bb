import { beforeAll, expect, it } from 'vitest';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import {
  type Bundle,
  generateP256KeyPair,
  parseCertificate,
  TrustDomain,
} from '../spiffe/index.ts';
import { acceptIdentity } from './node-identity.ts';

const AGENT = 'spiffe://a.test/spire/agent/x/1';
const MINUTE_MS = 60_000;
let authority: TestCertificate;
let bundle: Bundle;

beforeAll(async () => {
  authority = await makeAuthority({ notBefore: testNow - 3_600_000 });
  bundle = bundleOf('a.test', authority);
});

/** Offers such a certificate, for its own key, to an agent whose clock shows this. */
async function offer(options: TestCertificateOptions, now = testNow) {
  const { der } = await makeCertificate({ issuer: authority, uris: [AGENT], ...options });
  const { publicKey } = parseCertificate(der);
  const keys = { ...generateP256KeyPair(), publicKey };
  const trustDomain = TrustDomain.parse('a.test');
  const context = { trustDomain, keys, bundle, now, canReattest: true };
  return acceptIdentity({ cert_chain: [der] }, context);
}

it('takes an SVID of an agent, for its key', async () => {
  const identity = await offer({});
  expect(identity.agentId.toString()).toBe(AGENT);
  expect(identity).toMatchObject({ issuedAt: testNow, canReattest: true });
});

it('takes one that begins in a minute: its clock is behind (F16)', async () => {
  const notBefore = testNow + MINUTE_MS;
  expect((await offer({ notBefore })).issuedAt).toBe(testNow);
  await expect(offer({ notBefore }, testNow - 10 * MINUTE_MS)).rejects.toMatchObject({
    code: 'ERR_NODE_SVID',
    message: expect.stringContaining('clocks'),
  });
});

it.each<[string, TestCertificateOptions]>([
  ['of a workload', { uris: ['spiffe://a.test/web'] }],
  ['of the server', { uris: ['spiffe://a.test/spire/server'] }],
  ['of another trust domain', { uris: ['spiffe://b.test/spire/agent/x/1'] }],
  ['that has expired', { notBefore: testNow - 2 * MINUTE_MS, notAfter: testNow - MINUTE_MS }],
])('refuses one %s', async (_, options) => {
  await expect(offer(options)).rejects.toMatchObject({ code: 'ERR_NODE_SVID' });
});

it('refuses one of an unknown authority', async () => {
  const other = await makeAuthority();
  await expect(offer({ issuer: other })).rejects.toMatchObject({ code: 'ERR_NODE_SVID' });
});

it('refuses one for another key, and none', async () => {
  const { der } = await makeCertificate({ issuer: authority, uris: [AGENT] });
  const trustDomain = TrustDomain.parse('a.test');
  const keys = generateP256KeyPair();
  const context = { trustDomain, keys, bundle, now: testNow, canReattest: false };
  const refused = expect.objectContaining({ code: 'ERR_NODE_SVID' });
  expect(() => acceptIdentity({ cert_chain: [der] }, context)).toThrow(refused);
  expect(() => acceptIdentity({ cert_chain: [] }, context)).toThrow(refused);
  expect(() => acceptIdentity(null, context)).toThrow(refused);
});
