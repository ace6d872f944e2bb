import { KeyObject, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  bundleOf,
  ecKeys,
  hugeRsaKeys,
  makeAuthority,
  makeCertificate,
  rsaKeys,
  type TestCertificate,
  type TestCertificateOptions,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import * as oracle from '../../test/oracles/x509.ts';
import type { Bundle } from './bundle.ts';
import { parseCertificate } from './certificate.ts';
import { verifyX509Svid } from './x509-path.ts';
import { parseX509Svid } from './x509-svid.ts';

const refusal = (code: string, message = '') =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });
const verify = (chain: readonly TestCertificate[], bundle: Bundle, now = testNow) =>
  verifyX509Svid(parseX509Svid(chain.map(({ der }) => der)), bundle, now);
const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const octets = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...octets]), content]);
}

/** A root, intermediates below it as described, and a leaf below all of them; leaf first. */
async function makeChain(
  root: TestCertificate,
  authorities: readonly TestCertificateOptions[],
  leaf: TestCertificateOptions = {},
): Promise<TestCertificate[]> {
  const chain = [root];
  for (const [index, options] of authorities.entries()) {
    const issuer = chain[0] ?? root;
    chain.unshift(await makeAuthority({ subject: `CN=intermediate ${index}`, ...options, issuer }));
  }
  chain.unshift(await makeCertificate({ ...leaf, issuer: chain[0] ?? root }));
  return chain.slice(0, -1);
}

describe('verifyX509Svid', () => {
  it('accepts a leaf issued by an authority of its trust domain (X509-15)', async () => {
    const root = await makeAuthority();
    expect(() => verify([], bundleOf('a.test', root))).toThrow(refusal('ERR_X509_CHAIN'));
    const leaf = await makeCertificate({ issuer: root });
    expect(() => verify([leaf], bundleOf('a.test', root))).not.toThrow();
    expect(() => verify([leaf, root], bundleOf('a.test', root))).not.toThrow();
  });

  it('refuses a leaf of a.test signed by an authority of b.test (X509-15, ID-12)', async () => {
    const [a, b] = [await makeAuthority(), await makeAuthority({ uris: ['spiffe://b.test'] })];
    const leaf = await makeCertificate({ issuer: b });
    expect(() => verify([leaf], bundleOf('a.test', a))).toThrow(refusal('ERR_X509_UNTRUSTED'));
  });

  it('refuses the bundle of another trust domain, even if it has the right key (X509-15, ID-12, BUNDLE-8)', async () => {
    const root = await makeAuthority({ uris: [] });
    const leaf = await makeCertificate({ issuer: root });
    expect(() => verify([leaf], bundleOf('b.test', root))).toThrow(
      refusal('ERR_X509_TRUST_DOMAIN', 'got the one of b.test'),
    );
  });

  it('refuses a leaf issued by an authority with the SPIFFE ID of another trust domain, pooled or not (ID-13, X509-6)', async () => {
    const foreign = await makeAuthority({ uris: ['spiffe://b.test'] });
    const leaf = await makeCertificate({ issuer: foreign });
    const pooled = bundleOf('a.test', await makeAuthority(), foreign);
    expect(() => verify([leaf], pooled)).toThrow(
      refusal('ERR_X509_ISSUER_ID', 'spiffe://b.test and issued an SVID of a.test'),
    );
  });

  it('accepts an authority of another trust domain above the one that issued the leaf (X509-6)', async () => {
    const root = await makeAuthority({ subject: 'CN=root', uris: ['spiffe://b.test'] });
    const chain = await makeChain(root, [{}]);
    expect(() => verify(chain, bundleOf('a.test', root))).not.toThrow();
  });

  it.each([
    ['a path', ['spiffe://a.test/ca']],
    ['no valid SPIFFE ID', ['spiffe://a.test/']],
    ['two URI SANs', ['spiffe://a.test', 'https://a.test']],
  ])('refuses an issuer whose ID has %s (X509-6)', async (_, uris) => {
    const root = await makeAuthority({ uris });
    const leaf = await makeCertificate({ issuer: root });
    expect(() => verify([leaf], bundleOf('a.test', root))).toThrow(refusal('ERR_X509_ISSUER_ID'));
  });

  it('accepts an authority without SPIFFE ID (X509-6)', async () => {
    const root = await makeAuthority({ uris: ['https://pki.example.test'] });
    const leaf = await makeCertificate({ issuer: root });
    expect(() => verify([leaf], bundleOf('a.test', root))).not.toThrow();
  });

  it('refuses everything while the bundle has no X.509 authority (X509-19, BUNDLE-2)', async () => {
    const leaf = await makeCertificate();
    expect(() => verify([leaf], bundleOf('a.test'))).toThrow(refusal('ERR_X509_NO_AUTHORITY'));
  });

  it('refuses a leaf with another key under the name and key identifier of the authority (X509-15, ID-14)', async () => {
    const root = await makeAuthority({ withoutKeyIds: true });
    const impostor = { ...root, keys: await ecKeys() };
    const leaf = await makeCertificate({ issuer: impostor, withoutKeyIds: true });
    expect(() => verify([leaf], bundleOf('a.test', root))).toThrow(refusal('ERR_X509_SIGNATURE'));
  });

  it('refuses a leaf changed after it was signed: ID and key are in the signed part (ID-14)', async () => {
    const root = await makeAuthority();
    const { der } = await makeCertificate({ issuer: root });
    const changed = Uint8Array.from(der);
    const at = Buffer.from(der).indexOf('a.test/web') + 'a.test/'.length;
    changed.set(Buffer.from('xyz'), at);
    const svid = parseX509Svid([changed]);
    expect(svid.spiffeId.path).toBe('/xyz');
    expect(() => verifyX509Svid(svid, bundleOf('a.test', root), testNow)).toThrow(
      refusal('ERR_X509_SIGNATURE'),
    );
  });

  it('tries every authority of the same name (X509-15)', async () => {
    const old = await makeAuthority({ withoutKeyIds: true });
    const root = await makeAuthority({ withoutKeyIds: true });
    const leaf = await makeCertificate({ issuer: root, withoutKeyIds: true });
    expect(() => verify([leaf], bundleOf('a.test', old, root))).not.toThrow();
  });

  it('bounds the signature checks of one chain', async () => {
    const root = await makeAuthority({ withoutKeyIds: true });
    const impostor = { ...root, keys: await ecKeys() };
    const leaf = await makeCertificate({ issuer: impostor, withoutKeyIds: true });
    const decoys = Array<TestCertificate>(32).fill(root);
    const genuine = await makeCertificate({ issuer: root, withoutKeyIds: true });
    expect(() => verify([genuine], bundleOf('a.test', ...decoys))).not.toThrow();
    const real = {
      ...root,
      ...(await makeAuthority({ keys: impostor.keys, withoutKeyIds: true })),
    };
    expect(() => verify([leaf], bundleOf('a.test', ...decoys.slice(1), real))).not.toThrow();
    expect(() => verify([leaf], bundleOf('a.test', ...decoys, real))).toThrow(
      refusal('ERR_X509_SIGNATURE'),
    );
  });
});

describe('verifyX509Svid: chains', () => {
  it('follows intermediates in the order of the chain (X509-21)', async () => {
    const root = await makeAuthority({ subject: 'CN=root' });
    const [leaf, first, second] = await makeChain(root, [{}, {}]);
    if (leaf === undefined || first === undefined || second === undefined) throw new Error('chain');
    const bundle = bundleOf('a.test', root);
    expect(() => verify([leaf, first, second], bundle)).not.toThrow();
    expect(() => verify([leaf, second, first], bundle)).toThrow(refusal('ERR_X509_UNTRUSTED'));
    expect(() => verify([leaf, first], bundle)).toThrow(refusal('ERR_X509_UNTRUSTED'));
    expect(() => verify([leaf], bundle)).toThrow(refusal('ERR_X509_UNTRUSTED'));
    expect(() => verify([leaf], bundleOf('a.test', first))).not.toThrow();
  });

  it('refuses an intermediate that is no authority (X509-5, X509-8)', async () => {
    const root = await makeAuthority({ subject: 'CN=root' });
    const middle = await makeCertificate({ issuer: root, subject: 'CN=middle' });
    const leaf = await makeCertificate({ issuer: middle });
    expect(() => verify([leaf, middle], bundleOf('a.test', root))).toThrow(
      refusal('ERR_X509_ISSUER_CA', 'cA is not true'),
    );
    expect(() => verify([leaf], bundleOf('a.test', middle))).toThrow(refusal('ERR_X509_ISSUER_CA'));
  });

  it.each([
    ['no key usage', null],
    ['cRLSign alone', ['cRLSign']],
  ] as const)('refuses an authority with %s (X509-5, X509-10)', async (_, keyUsage) => {
    const root = await makeAuthority({ keyUsage });
    const leaf = await makeCertificate({ issuer: root });
    expect(() => verify([leaf], bundleOf('a.test', root))).toThrow(
      refusal('ERR_X509_ISSUER_CA', 'keyCertSign'),
    );
  });

  it('accepts an authority that also has digitalSignature, as imported ones do (X509-12)', async () => {
    const root = await makeAuthority({ keyUsage: ['digitalSignature', 'keyCertSign'] });
    const leaf = await makeCertificate({ issuer: root });
    expect(() => verify([leaf], bundleOf('a.test', root))).not.toThrow();
  });

  it('holds authorities to their path length, self-issued ones not counted (X509-5, X509-15)', async () => {
    const root = await makeAuthority({ subject: 'CN=root', pathLength: 1 });
    const bundle = bundleOf('a.test', root);
    const one = await makeChain(root, [{}]);
    const two = await makeChain(root, [{}, {}]);
    const selfIssued = await makeChain(root, [{ subject: 'CN=root' }, {}]);
    expect(() => verify(one, bundle)).not.toThrow();
    expect(() => verify(two, bundle)).toThrow(refusal('ERR_X509_PATH_LENGTH', 'allows 1'));
    expect(() => verify(selfIssued, bundle)).not.toThrow();
    const zero = await makeChain(await makeAuthority({ subject: 'CN=root' }), [
      { pathLength: 0 },
      {},
    ]);
    expect(() => verify(zero, bundle)).toThrow(refusal('ERR_X509_PATH_LENGTH', 'allows 0'));
  });

  it('accepts extended key usages of an authority only if they allow both roles (X509-14)', async () => {
    const { serverAuth, clientAuth, codeSigning } = oracle.ExtendedKeyUsage;
    const check = async (extendedKeyUsage: readonly string[]) => {
      const root = await makeAuthority({ extendedKeyUsage });
      verify([await makeCertificate({ issuer: root })], bundleOf('a.test', root));
    };
    await expect(check([serverAuth, clientAuth])).resolves.toBeUndefined();
    await expect(check(['2.5.29.37.0'])).resolves.toBeUndefined();
    for (const purposes of [[codeSigning], [serverAuth]]) {
      await expect(check(purposes)).rejects.toThrow(refusal('ERR_X509_EXTENDED_KEY_USAGE'));
    }
  });
});

describe('verifyX509Svid: time', () => {
  it('accepts a certificate from notBefore through the second of notAfter (X509-15)', async () => {
    const [notBefore, notAfter] = [testNow - 1000, testNow + 1000];
    const root = await makeAuthority();
    const leaf = await makeCertificate({ issuer: root, notBefore, notAfter });
    const bundle = bundleOf('a.test', root);
    expect(() => verify([leaf], bundle, notBefore)).not.toThrow();
    expect(() => verify([leaf], bundle, notAfter + 999)).not.toThrow();
    expect(() => verify([leaf], bundle, notBefore - 1)).toThrow(refusal('ERR_X509_NOT_YET_VALID'));
    expect(() => verify([leaf], bundle, notAfter + 1000)).toThrow(refusal('ERR_X509_EXPIRED'));
  });

  it('holds intermediates and authorities to their validity too (X509-15)', async () => {
    const root = await makeAuthority({ subject: 'CN=root' });
    const expired = { notBefore: testNow - 5000, notAfter: testNow - 2000 };
    const chain = await makeChain(root, [expired]);
    expect(() => verify(chain, bundleOf('a.test', root))).toThrow(refusal('ERR_X509_EXPIRED'));
    const old = await makeAuthority(expired);
    const leaf = await makeCertificate({ issuer: old });
    expect(() => verify([leaf], bundleOf('a.test', old))).toThrow(refusal('ERR_X509_EXPIRED'));
  });
});

describe('verifyX509Svid: keys, algorithms and extensions', () => {
  it.each(['P-256', 'P-384', 'P-521'])('accepts EC %s (X509-20)', async (curve) => {
    const root = await makeAuthority({ keys: await ecKeys(curve) });
    const leaf = await makeCertificate({
      issuer: root,
      keys: await ecKeys(curve),
      hash: 'SHA-384',
    });
    expect(() => verify([leaf], bundleOf('a.test', root))).not.toThrow();
  });

  it('accepts RSA of 2048 bits, and refuses SHA-1 and RSA of 1024 bits (X509-20)', async () => {
    const root = await makeAuthority({ keys: await rsaKeys(2048) });
    const bundle = bundleOf('a.test', root);
    const good = await makeCertificate({ issuer: root });
    expect(() => verify([good], bundle)).not.toThrow();
    const weakKey = await makeCertificate({ issuer: root, keys: await rsaKeys(1024) });
    expect(() => verify([weakKey], bundle)).toThrow(refusal('ERR_X509_ALGORITHM', '1024 bits'));
    const keys = await oracle.cryptoProvider.get().subtle.generateKey(
      {
        name: 'RSASSA-PKCS1-v1_5',
        hash: 'SHA-1',
        modulusLength: 2048,
        publicExponent: new Uint8Array([1, 0, 1]),
      },
      true,
      ['sign', 'verify'],
    );
    const weakHash = await makeCertificate({ issuer: { ...root, keys }, hash: 'SHA-1' });
    expect(() => verify([weakHash], bundle)).toThrow(
      refusal('ERR_X509_ALGORITHM', '1.2.840.113549.1.1.5'),
    );
  });

  it('refuses an ECDSA signature under the name of an RSA algorithm', async () => {
    const root = await makeAuthority();
    const leaf = await makeCertificate({ issuer: root });
    const key = KeyObject.from(root.keys.privateKey);
    const rename = (ecdsa: string, other: string) => {
      const tbs = Buffer.from(parseCertificate(leaf.der).tbs).toString('hex');
      const [before = '', after = ''] = tbs.split(ecdsa);
      const body = hex(before.slice('3082ffff'.length) + other + after);
      const signed = der(0x30, body);
      const signature = der(0x03, hex('00'), sign('sha256', signed, key));
      return { ...leaf, der: der(0x30, signed, hex(other), signature) };
    };
    const ecdsa = '300a06082a8648ce3d040302';
    const same = rename(ecdsa, ecdsa);
    expect(() => verify([same], bundleOf('a.test', root))).not.toThrow();
    const confused = rename(ecdsa, '300d06092a864886f70d01010b0500');
    expect(() => verify([confused], bundleOf('a.test', root))).toThrow(
      refusal('ERR_X509_SIGNATURE'),
    );
  });

  it('refuses a huge RSA key before it is used, in a leaf and in an issuer', async () => {
    const root = await makeAuthority({ subject: 'CN=root' });
    const bundle = bundleOf('a.test', root);
    const huge = await hugeRsaKeys(16_384);
    const leaf = await makeCertificate({ issuer: root, keys: huge });
    expect(() => verify([leaf], bundle)).toThrow(refusal('ERR_X509_ALGORITHM', '16384 bits'));
    const middle = await makeAuthority({ issuer: root, subject: 'CN=middle', keys: huge });
    const below = await makeCertificate({
      issuer: { ...middle, keys: root.keys },
      withoutKeyIds: true,
    });
    expect(() => verify([below, middle], bundle)).toThrow(refusal('ERR_X509_ALGORITHM'));
  });

  it('refuses a critical extension that is not understood, ignores others (X509-15)', async () => {
    const root = await makeAuthority();
    const bundle = bundleOf('a.test', root);
    const leaf = (isCritical: boolean) =>
      makeCertificate({
        issuer: root,
        extensions: [new oracle.Extension('1.3.6.1.4.1.57264.1.8', isCritical, hex('0c0178'))],
      });
    const [plain, critical] = [await leaf(false), await leaf(true)];
    expect(() => verify([plain], bundle)).not.toThrow();
    expect(() => verify([critical], bundle)).toThrow(
      refusal('ERR_X509_CRITICAL_EXTENSION', '1.3.6.1.4.1.57264.1.8'),
    );
  });
});
