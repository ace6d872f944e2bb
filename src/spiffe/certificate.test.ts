import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  ecKeys,
  makeAuthority,
  makeCertificate,
  rsaKeys,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import * as oracle from '../../test/oracles/x509.ts';
import { parseCertificate } from './certificate.ts';

const malformed = (why: string) =>
  expect.objectContaining({ code: 'ERR_CERTIFICATE', message: expect.stringContaining(why) });

/** Replaces the first occurrence of some bytes, given in hex. */
function patch(der: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(der).toString('hex');
  if (!text.includes(from)) throw new Error(`no ${from} in ${text}`);
  return Buffer.from(text.replace(from, to), 'hex');
}

describe('parseCertificate', () => {
  it('reads what two other parsers read', async () => {
    const issuer = await makeAuthority({ subject: 'C=US, O=trustplane', pathLength: 3 });
    const made = await makeCertificate({
      issuer,
      subject: 'CN=web\\, prod, O=Ünï',
      uris: ['spiffe://a.test/ns/prod'],
      dns: ['web', 'web.prod'],
    });
    for (const { der } of [issuer, made]) {
      const certificate = parseCertificate(der);
      const node = new X509Certificate(der);
      const peculiar = new oracle.X509Certificate(der);
      expect(certificate.serialNumber).toBe(node.serialNumber.toLowerCase());
      expect(certificate.notBefore).toBe(Date.parse(node.validFrom));
      expect(certificate.notAfter).toBe(Date.parse(node.validTo));
      expect(certificate.isCa).toBe(node.ca);
      expect(certificate.publicKey).toEqual(new Uint8Array(peculiar.publicKey.rawData));
      expect(certificate.subject.der).toEqual(new Uint8Array(peculiar.subjectName.toArrayBuffer()));
      expect(certificate.issuer.der).toEqual(new Uint8Array(peculiar.issuerName.toArrayBuffer()));
      expect(certificate.signature).toEqual(new Uint8Array(peculiar.signature));
      const names = [
        ...certificate.uriSans.map((uri) => `URI:${uri}`),
        ...certificate.dnsSans.map((dns) => `DNS:${dns}`),
      ];
      expect(names.join(', ')).toBe(node.subjectAltName);
    }
    const { subject, keyAlgorithm, extensions, authorityKeyId } = parseCertificate(made.der);
    expect(subject.text).toBe('CN=web\\, prod, O=Ünï');
    expect(keyAlgorithm).toMatchObject({ kind: 'ec', curve: 'P-256' });
    expect(extensions.size).toBe(6);
    const authority = parseCertificate(issuer.der);
    expect(authority.pathLength).toBe(3);
    expect(authorityKeyId).toEqual(authority.subjectKeyId);
  });

  it('reads serial numbers without the sign octet', async () => {
    const { der } = await makeCertificate({ serialNumber: '00ff00000000000001' });
    expect(parseCertificate(der).serialNumber).toBe('ff00000000000001');
  });

  it('reads RSA sizes and other keys', async () => {
    const rsa = parseCertificate((await makeCertificate({ keys: await rsaKeys(2048) })).der);
    expect(rsa.keyAlgorithm).toMatchObject({ kind: 'rsa', modulusBits: 2048, exponentBits: 17 });
    const p521 = parseCertificate((await makeCertificate({ keys: await ecKeys('P-521') })).der);
    expect(p521.keyAlgorithm).toMatchObject({ kind: 'ec', curve: 'P-521' });
  });

  it('escapes what could deceive a terminal in names', async () => {
    const { der } = await makeCertificate({ subject: 'CN=a\u001b[2J\u202eb' });
    expect(parseCertificate(der).subject.text).toBe('CN=a\\u{1b}[2J\\u{202e}b');
  });

  it('refuses bytes behind a certificate, a cut one and a huge one', async () => {
    const { der } = await makeCertificate();
    expect(() => parseCertificate(Buffer.concat([der, Buffer.alloc(1)]))).toThrow(
      malformed('1 trailing bytes'),
    );
    expect(() => parseCertificate(der.subarray(0, -1))).toThrow(malformed('claims'));
    expect(() => parseCertificate(new Uint8Array())).toThrow(malformed('got nothing'));
    expect(() => parseCertificate(new Uint8Array(32_769))).toThrow(malformed('at most 32768'));
  });

  it.each([
    ['v1', 'a003020102', 'a003020100', 'is not v3'],
    ['a negative serial number', '020811', '020891', 'is negative'],
    ['a padded boolean', '0603551d130101ff', '0603551d13010101', 'is not a BOOLEAN'],
    ['a date that does not exist', '3236303630', '3236313330', 'is no date'],
  ])('refuses %s', async (_, from, to, why) => {
    const { der } = await makeCertificate({ serialNumber: '1122334455667788' });
    expect(() => parseCertificate(patch(der, from, to))).toThrow(malformed(why));
  });

  it('refuses a signature algorithm that is not the signed one', async () => {
    const { der } = await makeCertificate();
    const changed = Uint8Array.from(der);
    const ecdsaWithSha256 = Buffer.from('2a8648ce3d040302', 'hex');
    changed[Buffer.from(der).lastIndexOf(ecdsaWithSha256) + 7] = 3;
    expect(() => parseCertificate(changed)).toThrow(malformed('differs from the signed one'));
  });

  it('refuses a repeated extension and one with rubbish inside', async () => {
    const extra = (value: string) =>
      new oracle.Extension('2.5.29.17', false, Buffer.from(value, 'hex'));
    const twice = await makeCertificate({ extensions: [extra('3003820161')] });
    expect(() => parseCertificate(twice.der)).toThrow(malformed('2.5.29.17 comes twice'));
    for (const value of ['3000', '300382016100', '3003820180', '3003020161', '30038a0161', '']) {
      const made = await makeCertificate({ uris: [], extensions: [extra(value)] });
      expect(() => parseCertificate(made.der)).toThrow(malformed('subject alternative name'));
    }
  });

  it('refuses a point that is compressed', async () => {
    const { der } = await makeCertificate();
    expect(() => parseCertificate(patch(der, '03420004', '03420002'))).toThrow(
      malformed('no uncompressed point'),
    );
  });

  it('reads validity to the second', async () => {
    const { der } = await makeCertificate({ notBefore: testNow, notAfter: Date.UTC(2050, 0, 1) });
    const { notBefore, notAfter } = parseCertificate(der);
    expect([notBefore, notAfter]).toEqual([testNow, Date.UTC(2050, 0, 1)]);
  });
});
