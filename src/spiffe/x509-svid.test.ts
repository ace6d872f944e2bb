import { describe, expect, it } from 'vitest';
import {
  makeCertificate,
  type TestCertificateOptions,
} from '../../test/fakes/test-certificates.ts';
import * as oracle from '../../test/oracles/x509.ts';
import { parseX509Svid } from './x509-svid.ts';

const { ExtendedKeyUsage } = oracle;
const parse = async (options: TestCertificateOptions) =>
  parseX509Svid([(await makeCertificate(options)).der]);
const refusal = (code: string) => expect.objectContaining({ code });

describe('parseX509Svid', () => {
  it('reads the SPIFFE ID of a leaf with one URI SAN beside other names (X509-1, X509-2)', async () => {
    const svid = await parse({
      uris: ['spiffe://a.test/ns/prod/sa/web'],
      dns: ['web.prod.svc', '*.web.prod.svc'],
    });
    expect(svid.spiffeId.toString()).toBe('spiffe://a.test/ns/prod/sa/web');
    expect(svid.leaf.dnsSans).toEqual(['web.prod.svc', '*.web.prod.svc']);
    expect(svid.intermediates).toEqual([]);
  });

  it.each([
    ['two SPIFFE IDs', ['spiffe://a.test/x', 'spiffe://a.test/y']],
    ['the same SPIFFE ID twice', ['spiffe://a.test/x', 'spiffe://a.test/x']],
    ['a second URI that is no SPIFFE ID', ['spiffe://a.test/x', 'https://a.test/x']],
    ['no URI', []],
  ])('refuses %s (X509-1, X509-16)', async (_, uris) => {
    await expect(parse({ uris })).rejects.toThrow(refusal('ERR_X509_URI_SAN'));
  });

  it.each([
    'https://a.test/x',
    'SPIFFE://a.test/x',
    'spiffe://A.test/x',
    'spiffe://a.test/x/',
    'spiffe://a.test/',
    'spiffe://a.test:80/x',
    'spiffe://a.test/%41',
  ])('refuses the URI SAN %s (X509-16)', async (uri) => {
    await expect(parse({ uris: [uri] })).rejects.toThrow(refusal('ERR_X509_SPIFFE_ID'));
  });

  it('refuses a leaf whose SPIFFE ID has no path (X509-3, X509-16)', async () => {
    await expect(parse({ uris: ['spiffe://a.test'] })).rejects.toThrow(
      refusal('ERR_X509_LEAF_PATH'),
    );
  });

  it('refuses a leaf that is an authority, and takes absent basic constraints (X509-7, X509-8, X509-16)', async () => {
    const uris = ['spiffe://a.test/web'];
    await expect(parse({ uris, isCa: true })).rejects.toThrow(refusal('ERR_X509_LEAF_CA'));
    const svid = await parse({ uris, withoutBasicConstraints: true });
    expect(svid.leaf.isCa).toBe(false);
  });

  it('refuses a leaf without key usage or with one that is not critical (X509-10)', async () => {
    await expect(parse({ keyUsage: null })).rejects.toThrow(refusal('ERR_X509_KEY_USAGE'));
    await expect(parse({ isKeyUsageCritical: false })).rejects.toThrow(
      refusal('ERR_X509_KEY_USAGE'),
    );
  });

  it.each([
    ['without digitalSignature', ['keyEncipherment']],
    ['with keyCertSign', ['digitalSignature', 'keyCertSign']],
    ['with cRLSign', ['digitalSignature', 'cRLSign']],
  ] as const)('refuses a key usage %s (X509-11, X509-16)', async (_, keyUsage) => {
    await expect(parse({ keyUsage })).rejects.toThrow(refusal('ERR_X509_KEY_USAGE'));
  });

  it('takes keyEncipherment and keyAgreement beside digitalSignature (X509-11)', async () => {
    const keyUsage = ['digitalSignature', 'keyEncipherment', 'keyAgreement'] as const;
    const { leaf } = await parse({ keyUsage });
    expect([...(leaf.keyUsage?.names ?? [])]).toEqual(keyUsage);
  });

  it.each([
    ['serverAuth alone', [ExtendedKeyUsage.serverAuth]],
    ['clientAuth alone', [ExtendedKeyUsage.clientAuth]],
    ['any purpose', ['2.5.29.37.0']],
  ])('refuses the extended key usage %s (X509-13)', async (_, extendedKeyUsage) => {
    await expect(parse({ extendedKeyUsage })).rejects.toThrow(
      refusal('ERR_X509_EXTENDED_KEY_USAGE'),
    );
  });

  it('takes a leaf without extended key usage, and one with more purposes (X509-13)', async () => {
    const { leaf } = await parse({ extendedKeyUsage: null });
    expect(leaf.extendedKeyUsage).toBeUndefined();
    const extendedKeyUsage = ['serverAuth', 'clientAuth', 'codeSigning'] as const;
    await expect(
      parse({ extendedKeyUsage: extendedKeyUsage.map((name) => ExtendedKeyUsage[name]) }),
    ).resolves.toBeDefined();
  });

  it('takes a SPIFFE ID of 2048 bytes and refuses one of 2049 (ID-8)', async () => {
    const path = (bytes: number) => `/${'x'.repeat(bytes - 'spiffe://a.test/'.length)}`;
    const { spiffeId } = await parse({ uris: [`spiffe://a.test${path(2048)}`] });
    expect(spiffeId.toString()).toHaveLength(2048);
    await expect(parse({ uris: [`spiffe://a.test${path(2049)}`] })).rejects.toThrow(
      refusal('ERR_X509_SPIFFE_ID'),
    );
  });

  it('refuses an empty chain, one of nine certificates, and bytes that are no certificate', async () => {
    const { der } = await makeCertificate();
    expect(() => parseX509Svid([])).toThrow(refusal('ERR_X509_CHAIN'));
    expect(() => parseX509Svid(Array(9).fill(der))).toThrow(refusal('ERR_X509_CHAIN'));
    expect(parseX509Svid(Array(8).fill(der)).intermediates).toHaveLength(7);
    expect(() => parseX509Svid([der.subarray(1)])).toThrow(refusal('ERR_CERTIFICATE'));
  });
});
