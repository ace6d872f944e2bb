import { createPrivateKey, sign as signBytes } from 'node:crypto';
import { generalVerify, importX509 } from 'jose';
import { describe, expect, it } from 'vitest';
import { ecKeys, makeCertificate, rsaKeys, testNow } from '../../test/fakes/test-certificates.ts';
import {
  bundleWith,
  makeSigner,
  reworked,
  signedBy,
  signedPayload,
  testPublisherId,
} from '../../test/fakes/test-messages.ts';
import {
  bundlesEqual,
  encodePem,
  SpiffeId,
  serializeBundleDocument,
  TrustDomain,
} from '../spiffe/index.ts';
import { signAckMessage, verifyAckMessage } from './ack-message.ts';
import { signBundleMessage, verifyBundleMessage } from './bundle-message.ts';
import type { MessageSigner } from './signed-message.ts';

const trustDomain = TrustDomain.parse('a.test');
const [first, second, foreign] = await Promise.all([
  makeCertificate({ isCa: true, subject: 'CN=first' }),
  makeCertificate({ isCa: true, subject: 'CN=second' }),
  makeCertificate({ isCa: true, subject: 'CN=foreign' }),
]);
const [signer, youngSigner, forger] = await Promise.all([
  makeSigner(first),
  makeSigner(second),
  makeSigner(foreign),
]);
const before = bundleWith('a.test', 6n, [first]);
const bundle = bundleWith('a.test', 7n, [first, second]);
const message = signBundleMessage({ bundle, ...signedBy(signer) });
const expected = { trustDomain, publisherId: testPublisherId, bundle: before, now: testNow };
const verify = (bytes: Uint8Array, more: Partial<typeof expected> = {}) =>
  verifyBundleMessage(bytes, { ...expected, ...more });
const refusal = (what: string) => expect.objectContaining({ code: `ERR_BUNDLE_MESSAGE_${what}` });

/** What a document says, with fields of its own beside. */
function payload(more: Record<string, unknown> = {}) {
  return {
    trust_domain: 'a.test',
    sequence: '7',
    iat: testNow / 1_000,
    exp: testNow / 1_000 + 1_800,
    bundle: JSON.parse(serializeBundleDocument(bundle)),
    ...more,
  };
}

/** The same with a protected header of its own, truly signed. */
function withHeader(more: Record<string, unknown>, key: MessageSigner = signer): Uint8Array {
  return reworked(message, (parts) => {
    const x5c = key.certificateChain.map((der) => Buffer.from(der).toString('base64'));
    const header = { alg: 'ES256', typ: 'trustplane-bundle+jws', x5c, ...more };
    const text = Buffer.from(JSON.stringify(header)).toString('base64url');
    const privateKey = createPrivateKey({
      key: Buffer.from(key.privateKey),
      format: 'der',
      type: 'pkcs8',
    });
    const signature = signBytes('sha256', Buffer.from(`${text}.${parts.payload}`), {
      key: privateKey,
      dsaEncoding: 'ieee-p1363',
    }).toString('base64url');
    return { ...parts, signatures: [{ protected: text, signature }] };
  });
}

describe('a bundle message', () => {
  it('carries the document with trust domain, sequence and times (FED-20, FED-21)', () => {
    const verified = verify(message);
    expect(bundlesEqual(verified.bundle, bundle)).toBe(true);
    expect(verified).toMatchObject({
      sequence: 7n,
      issuedAt: testNow,
      expiresAt: testNow + 1_800_000,
    });
  });

  it('is JWS general JSON that others verify', async () => {
    const leaf = encodePem('CERTIFICATE', signer.certificateChain[0] ?? new Uint8Array());
    const jws = JSON.parse(Buffer.from(message).toString());
    const { payload, protectedHeader } = await generalVerify(jws, await importX509(leaf, 'ES256'));
    expect(JSON.parse(Buffer.from(payload).toString())).toMatchObject({ sequence: '7' });
    expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'trustplane-bundle+jws' });
  });

  it.each(['ES256', 'ES384', 'RS256'])('is signed and verified with %s', async (alg) => {
    const keys = await (alg === 'RS256'
      ? rsaKeys(2048)
      : ecKeys(alg === 'ES384' ? 'P-384' : 'P-256'));
    const signed = signBundleMessage({ bundle, ...signedBy(await makeSigner(first, { keys })) });
    expect(verify(signed).sequence).toBe(7n);
  });

  it('keeps a sequence number beyond 2^53', () => {
    const sequence = 2n ** 64n + 1n;
    const large = { ...bundle, sequenceNumber: sequence };
    expect(verify(signBundleMessage({ bundle: large, ...signedBy(signer) })).sequence).toBe(
      sequence,
    );
  });

  it('is believed by whoever knows one of those who signed, old or young (FED-21)', () => {
    const both = signBundleMessage({ bundle, ...signedBy(youngSigner, signer) });
    for (const known of [[first], [second], [first, second]]) {
      expect(verify(both, { bundle: bundleWith('a.test', 5n, known) }).sequence).toBe(7n);
    }
    const strange = { bundle: bundleWith('a.test', 5n, [foreign]) };
    expect(() => verify(both, strange)).toThrow(refusal('SIGNATURE'));
  });

  it('holds 200 authorities in a message that nats-server takes', async () => {
    const many = { ...bundle, x509Authorities: Array(200).fill(bundle.x509Authorities[0]) };
    const bytes = signBundleMessage({ bundle: many, ...signedBy(signer) });
    expect(bytes.length).toBeLessThan(500_000);
    expect(verify(bytes).sequence).toBe(7n);
  });
});

describe('a bundle message is refused', () => {
  it('when it is of another trust domain than its subject, or of the publisher’s (FED-20)', () => {
    const other = signBundleMessage({
      bundle: bundleWith('b.test', 7n, [second]),
      ...signedBy(signer),
    });
    expect(() => verify(other)).toThrow(refusal('TRUST_DOMAIN'));
    const relayed = { trustDomain: TrustDomain.parse('b.test') };
    expect(verify(other, relayed).bundle.trustDomain.name).toBe('b.test');
  });

  it('when somebody else signed it, of the same trust domain or not (FED-21)', async () => {
    const workload = await makeSigner(first, { uris: ['spiffe://a.test/web'] });
    const signed = (by: MessageSigner) => signBundleMessage({ bundle, ...signedBy(by) });
    expect(() => verify(signed(workload))).toThrow(refusal('PUBLISHER'));
    expect(() => verify(signed(forger))).toThrow(refusal('SIGNATURE'));
    const publisherId = SpiffeId.parse('spiffe://a.test/publisher');
    expect(() => verify(message, { publisherId })).toThrow(refusal('PUBLISHER'));
  });

  it('when the publisher’s bundle is of another trust domain, or has no authority', () => {
    for (const strange of [bundleWith('b.test', 1n, [first]), bundleWith('a.test', 1n, [])]) {
      expect(() => verify(message, { bundle: strange })).toThrow(refusal('SIGNATURE'));
    }
  });

  it('when it has expired, is of the future, or its SVID is not valid', async () => {
    expect(() => verify(message, { now: testNow + 1_800_000 })).toThrow(refusal('TIME'));
    expect(() => verify(message, { now: testNow - 61_000 })).toThrow(refusal('TIME'));
    expect(verify(message, { now: testNow - 59_000 }).sequence).toBe(7n);
    const short = await makeSigner(first, { notAfter: testNow + 10_000 });
    const signed = signBundleMessage({ bundle, ...signedBy(short) });
    expect(() => verify(signed, { now: testNow + 60_000 })).toThrow(refusal('SIGNATURE'));
  });

  it.each([
    ['crit', { crit: ['exp'] }],
    ['jwk', { jwk: {} }],
    ['jku', { jku: 'https://evil.test' }],
    ['b64', { b64: false }],
    ['another typ', { typ: 'trustplane-ack+jws' }],
    ['no typ', { typ: undefined }],
    ['alg none', { alg: 'none' }],
    ['an alg of tokens alone', { alg: 'ES512' }],
    ['an alg with a shared secret', { alg: 'HS256' }],
    ['no chain', { x5c: [] }],
    ['a chain of nine', { x5c: Array(9).fill('AA==') }],
    ['a chain that is not base64', { x5c: ['-_'] }],
  ])('for a header with %s', (_, header) => {
    expect(() => verify(withHeader({}))).not.toThrow();
    expect(() => verify(withHeader(header))).toThrow(refusal('HEADER'));
  });

  it('for an alg that is not that of the key', () => {
    for (const alg of ['ES384', 'RS256', 'PS256']) {
      expect(() => verify(withHeader({ alg }))).toThrow(refusal('SIGNATURE'));
    }
  });

  it('for a header that is not protected, and members of no meaning', () => {
    const unprotected = reworked(message, ({ payload, signatures }) => ({
      payload,
      signatures: signatures.map((each) => ({ ...each, header: { alg: 'ES256' } })),
    }));
    expect(() => verify(unprotected)).toThrow(refusal('FORMAT'));
    const more = reworked(message, (parts) => ({ ...parts, protected: 'e30' }));
    expect(() => verify(more)).toThrow(refusal('FORMAT'));
  });

  it('without a signature, with more than eight, and with one that is malformed beside a good one', () => {
    const times = (count: number) =>
      reworked(message, ({ payload, signatures }) => ({
        payload,
        signatures: Array(count).fill(signatures[0]),
      }));
    expect(() => verify(times(0))).toThrow(refusal('FORMAT'));
    expect(() => verify(times(8))).not.toThrow();
    expect(() => verify(times(9))).toThrow(refusal('FORMAT'));
    const malformed = reworked(message, ({ payload, signatures }) => ({
      payload,
      signatures: [...signatures, { protected: 'e30', signature: 'AA' }],
    }));
    expect(() => verify(malformed)).toThrow(refusal('HEADER'));
  });

  it('when it is larger than NATS messages are, before it is read', () => {
    expect(() => verify(new Uint8Array(1_048_577))).toThrow(refusal('SIZE'));
  });

  it.each([
    ['a sequence as a number', { sequence: 7 }],
    ['another sequence than the document', { sequence: '8' }],
    ['a sequence below 0', { sequence: '-1' }],
    ['a sequence of 40 digits', { sequence: '9'.repeat(40) }],
    ['times that are no seconds', { iat: 1.5 }],
    ['no document', { bundle: 'x' }],
    ['a document without keys', { bundle: {} }],
    ['a member of no meaning', { aud: 'x' }],
    ['a member missing', { exp: undefined }],
  ])('for %s', (_, fields) => {
    expect(() => verify(signedPayload(payload(), signer))).not.toThrow();
    expect(() => verify(signedPayload(payload(fields), signer))).toThrow(refusal('FORMAT'));
  });

  it('when nobody or too many are to sign, or the bundle has no number', () => {
    const sign = (...signers: MessageSigner[]) =>
      signBundleMessage({ bundle, ...signedBy(...signers) });
    expect(() => sign()).toThrow(refusal('FORMAT'));
    expect(() => sign(...Array(9).fill(signer))).toThrow(refusal('FORMAT'));
    const unnumbered = { ...bundle, sequenceNumber: undefined };
    expect(() => signBundleMessage({ bundle: unnumbered, ...signedBy(signer) })).toThrow(
      refusal('FORMAT'),
    );
  });
});

describe('an acknowledgement', () => {
  const b = TrustDomain.parse('b.test');
  const ack = {
    publisher: b,
    receiver: trustDomain,
    sequence: 3n,
    digest: 'ab'.repeat(32),
    issuedAt: testNow,
    expiresAt: testNow + 60_000,
  };
  const from = {
    publisher: b,
    receiver: trustDomain,
    publisherId: testPublisherId,
    bundle: before,
    now: testNow,
  };

  it('says which bundle of whom is held by whom', () => {
    expect(verifyAckMessage(signAckMessage(ack, [signer]), from)).toEqual(ack);
  });

  it('is refused from another one, about another one, and in place of a bundle', () => {
    const bytes = signAckMessage(ack, [signer]);
    expect(() => verifyAckMessage(signAckMessage(ack, [forger]), from)).toThrow(
      refusal('SIGNATURE'),
    );
    const swapped = { ...from, publisher: trustDomain };
    expect(() => verifyAckMessage(bytes, swapped)).toThrow(refusal('TRUST_DOMAIN'));
    const elsewhere = { ...from, receiver: TrustDomain.parse('c.test') };
    expect(() => verifyAckMessage(bytes, elsewhere)).toThrow(refusal('TRUST_DOMAIN'));
    expect(() => verifyAckMessage(bytes, { ...from, now: testNow + 60_000 })).toThrow(
      refusal('TIME'),
    );
    expect(() => verify(bytes)).toThrow(refusal('HEADER'));
    expect(() => verifyAckMessage(message, from)).toThrow(refusal('HEADER'));
  });
});
