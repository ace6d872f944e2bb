import { createPublicKey, generateKeyPairSync, type JsonWebKey, webcrypto } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  rsaKeys,
  type TestCertificate,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import {
  type Bundle,
  bundleDigest,
  bundleRefreshSeconds,
  bundlesEqual,
  emptyBundle,
} from './bundle.ts';
import { parseBundleDocument } from './bundle-document.ts';
import { serializeBundleDocument, serializeJwks } from './serialize-bundle.ts';
import { findSharedKeys } from './shared-keys.ts';
import { TrustDomain } from './trust-domain.ts';
import { verifyX509Svid } from './x509-path.ts';
import { parseX509Svid } from './x509-svid.ts';

const td = TrustDomain.parse('a.test');
const refusal = (why: string) =>
  expect.objectContaining({ code: 'ERR_BUNDLE', message: expect.stringContaining(why) });
const base64 = ({ der }: TestCertificate) => Buffer.from(der).toString('base64');
const document = (keys: readonly unknown[], extra: object = {}) =>
  JSON.stringify({ keys, ...extra });
const parse = (keys: readonly unknown[], extra: object = {}) =>
  parseBundleDocument(td, document(keys, extra));
const reasons = (keys: readonly unknown[]) => parse(keys).ignoredKeys.map(({ reason }) => reason);
const jwkOf = (key: { export(options: { format: 'jwk' }): JsonWebKey }) =>
  key.export({ format: 'jwk' });

let root: TestCertificate;
let other: TestCertificate;
let rootJwk: webcrypto.JsonWebKey;
let x509Key: Record<string, unknown>;
let tokenKey: Record<string, unknown>;
let publicKey: Uint8Array;

beforeAll(async () => {
  [root, other] = [await makeAuthority(), await makeAuthority()];
  const {
    kty = '',
    crv = '',
    x = '',
    y = '',
  } = await webcrypto.subtle.exportKey('jwk', root.keys.publicKey);
  rootJwk = { kty, crv, x, y };
  x509Key = { use: 'x509-svid', ...rootJwk, x5c: [base64(root)] };
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  tokenKey = { use: 'jwt-svid', kid: 'k1', ...jwkOf(pair.publicKey) };
  publicKey = pair.publicKey.export({ format: 'der', type: 'spki' });
});

function fullBundle(): Bundle {
  const jwtAuthority = { keyId: 'k1', publicKey, expiresAt: undefined, tainted: false };
  return {
    ...bundleOf('a.test', root, other),
    jwtAuthorities: [jwtAuthority],
    witAuthorities: [{ ...jwtAuthority, keyId: 'w1' }],
    sequenceNumber: 2n ** 53n + 1n,
    refreshHintSeconds: 300,
  };
}

describe('parseBundleDocument', () => {
  it('reads X.509 and token keys of a JWK Set (BUNDLE-1, BUNDLE-7)', () => {
    const wit = { ...tokenKey, use: 'wit-svid', kid: 'w1' };
    const { bundle, ignoredKeys } = parse([x509Key, tokenKey, wit]);
    expect(ignoredKeys).toEqual([]);
    expect(bundle.trustDomain).toBe(td);
    expect(bundle.x509Authorities).toEqual([{ certificate: root.der, tainted: false }]);
    expect(bundle.jwtAuthorities).toMatchObject([{ keyId: 'k1', publicKey }]);
    expect(bundle.witAuthorities).toMatchObject([{ keyId: 'w1', publicKey }]);
  });

  it('takes an empty list of keys, and refuses a document without one (BUNDLE-1, X509-19)', () => {
    expect(parse([]).bundle.x509Authorities).toEqual([]);
    for (const text of ['{}', '{"keys":null}', '{"keys":{}}', '[]', 'null', '{"keys":[1]}']) {
      expect(() => parseBundleDocument(td, text)).toThrow(refusal('the bundle document of a.test'));
    }
    expect(() => parseBundleDocument(td, '{"keys":[')).toThrow(
      expect.objectContaining({ code: 'ERR_JSON' }),
    );
  });

  it('leaves nothing to trust when keys are empty or none is usable (BUNDLE-2)', async () => {
    const svid = parseX509Svid([(await makeCertificate({ issuer: root })).der]);
    expect(() => verifyX509Svid(svid, parse([x509Key]).bundle, testNow)).not.toThrow();
    for (const keys of [[], [{ ...x509Key, use: 'sig' }]]) {
      expect(() => verifyX509Svid(svid, parse(keys).bundle, testNow)).toThrow(
        expect.objectContaining({ code: 'ERR_X509_NO_AUTHORITY' }),
      );
    }
  });

  it('ignores and reports keys of unknown kty or use, and goes on with the others (BUNDLE-3)', () => {
    const { use: _, ...withoutUse } = x509Key;
    const { kty: __, ...withoutKty } = x509Key;
    const bad = [
      { ...x509Key, kty: 'OKP' },
      { kty: 'oct', use: 'jwt-svid', kid: 'k', k: 'AAAA' },
      { ...x509Key, use: 'x509-SVID' },
      { ...x509Key, use: 'sig' },
      { ...x509Key, use: 7 },
      { ...x509Key, kty: 'ec' },
      withoutUse,
      withoutKty,
      {},
    ];
    const { bundle, ignoredKeys } = parse([...bad, x509Key]);
    expect(bundle.x509Authorities).toEqual([{ certificate: root.der, tainted: false }]);
    expect(ignoredKeys.map(({ index }) => index)).toEqual(bad.map((_, index) => index));
    expect(ignoredKeys.map(({ reason }) => reason)).toEqual([
      'unknown kty "OKP"',
      'unknown kty "oct"',
      'unknown use "x509-SVID"',
      'unknown use "sig"',
      'unknown use 7',
      'unknown kty "ec"',
      'no use',
      'unknown kty nothing',
      'unknown kty nothing',
    ]);
  });

  it('does not need members that no standard names, and ignores them (BUNDLE-6)', () => {
    const { bundle, ignoredKeys } = parse([{ ...x509Key, x_custom: { deep: [1] } }], { other: 1 });
    expect(bundle.x509Authorities).toHaveLength(1);
    expect(bundle.sequenceNumber).toBeUndefined();
    expect(bundle.refreshHintSeconds).toBeUndefined();
    expect(ignoredKeys).toEqual([]);
  });

  it('keeps a sequence number beyond 2^53 and 64 bits (BUNDLE-4)', () => {
    for (const sequence of ['0', '9007199254740993', '18446744073709551617']) {
      const { bundle } = parseBundleDocument(td, `{"keys":[],"spiffe_sequence":${sequence}}`);
      expect(bundle.sequenceNumber).toBe(BigInt(sequence));
      expect(serializeBundleDocument(bundle)).toBe(`{"keys":[],"spiffe_sequence":${sequence}}`);
    }
    for (const sequence of ['"1"', '1.5', '-1', '1e30', 'null', '-9007199254740993', '[1]']) {
      const text = `{"keys":[],"spiffe_sequence":${sequence}}`;
      expect(() => parseBundleDocument(td, text)).toThrow(refusal('spiffe_sequence'));
    }
  });

  it('reads the refresh hint in whole seconds (BUNDLE-5)', () => {
    expect(parse([], { spiffe_refresh_hint: 60 }).bundle.refreshHintSeconds).toBe(60);
    for (const hint of ['60', 1.5, -1, null, true, 1e300]) {
      expect(() => parse([], { spiffe_refresh_hint: hint })).toThrow(refusal('refresh_hint'));
    }
    expect(() =>
      parseBundleDocument(td, '{"keys":[],"spiffe_refresh_hint":99999999999999999999}'),
    ).toThrow(refusal('spiffe_refresh_hint 99999999999999999999'));
  });

  it('refuses duplicate members, more than 1 MiB and more than 1000 keys (BUNDLE-12)', () => {
    for (const text of ['{"keys":[],"keys":[]}', '{"keys":[{"use":"a","use":"b"}]}']) {
      expect(() => parseBundleDocument(td, text)).toThrow('duplicate member name');
    }
    const padded = (bytes: number) => `{"keys":[]}${' '.repeat(bytes - 11)}`;
    expect(parseBundleDocument(td, padded(1 << 20)).ignoredKeys).toEqual([]);
    expect(() => parseBundleDocument(td, padded((1 << 20) + 1))).toThrow('at most 1048576');
    expect(parse(Array.from({ length: 1000 }, () => ({}))).ignoredKeys).toHaveLength(1000);
    expect(() => parse(Array.from({ length: 1001 }, () => ({})))).toThrow(
      refusal('1001 keys; at most 1000'),
    );
  });
});

describe('parseBundleDocument: X.509 keys', () => {
  it('trusts only the first x5c value (X509-18)', () => {
    const { bundle } = parse([{ ...x509Key, x5c: [base64(root), base64(other), 'rubbish'] }]);
    expect(bundle.x509Authorities).toEqual([{ certificate: root.der, tainted: false }]);
  });

  it.each([[undefined], [[]], [null], ['MIIB'], [[7]]])(
    'ignores a key with the x5c %j (X509-18)',
    (x5c) => {
      expect(reasons([{ ...x509Key, x5c }])).toEqual(['an x509-svid key without x5c']);
    },
  );

  it('ignores a key with kid (X509-17)', () => {
    expect(reasons([{ ...x509Key, kid: 'k' }])).toEqual(['an x509-svid key with kid']);
  });

  it('takes x5c without key members, and ignores members that are not those of the certificate (X509-17)', async () => {
    expect(reasons([{ kty: 'EC', use: 'x509-svid', x5c: [base64(root)] }])).toEqual([]);
    expect(reasons([{ ...x509Key, x5c: [base64(other)] }])).toEqual([
      'key members that are not those of the x5c certificate',
    ]);
    expect(reasons([{ ...x509Key, d: 'AAAA' }])).toEqual(['the private key member "d"']);
    expect(reasons([{ ...x509Key, n: 'AQAB' }])).toHaveLength(1);
    expect(reasons([{ kty: 'RSA', use: 'x509-svid', x5c: [base64(root)] }])).toEqual([
      'a kty that is not the one of the x5c certificate',
    ]);
    const rsa = await makeAuthority({ keys: await rsaKeys(2048) });
    const { n, e } = await webcrypto.subtle.exportKey('jwk', rsa.keys.publicKey);
    const { bundle } = parse([{ kty: 'RSA', n, e, use: 'x509-svid', x5c: [base64(rsa)] }]);
    expect(bundle.x509Authorities).toHaveLength(1);
  });

  it('ignores what is no certificate of an authority (X509-5, X509-6)', async () => {
    const key = (x5c: string) => ({ kty: 'EC', use: 'x509-svid', x5c: [x5c] });
    const leaf = await makeCertificate();
    const withPath = await makeAuthority({ uris: ['spiffe://a.test/x'] });
    const [first, ...rest] = reasons([
      key('AAAA'),
      key('not base64'),
      key(base64(root).slice(0, -4)),
      key(base64(leaf)),
      key(base64(withPath)),
    ]);
    expect(first).toContain('not a certificate: malformed DER');
    expect(rest).toEqual([
      'an x5c value that is not base64',
      expect.stringContaining('not a certificate'),
      'an x5c certificate that is no certificate authority (cA is not true)',
      expect.stringContaining('an authority has one SPIFFE ID without path, or none'),
    ]);
  });

  it('holds one certificate once', () => {
    expect(parse([x509Key, x509Key]).bundle.x509Authorities).toHaveLength(1);
  });
});

describe('parseBundleDocument: token keys', () => {
  it('ignores a token key without kid, or with one that came before (WIT-18)', () => {
    const { kid: _, ...withoutKid } = tokenKey;
    expect(reasons([withoutKid, { ...tokenKey, kid: '' }, { ...tokenKey, kid: 1 }])).toEqual([
      'a jwt-svid key without kid',
      'a jwt-svid key without kid',
      'a jwt-svid key without kid',
    ]);
    const wit = { ...tokenKey, use: 'wit-svid' };
    expect(reasons([tokenKey, tokenKey, wit, { ...wit, kid: 'K1' }])).toEqual([
      'a second key with kid "k1"',
      'a second key with kid "k1"',
    ]);
    expect(reasons([{ ...tokenKey, kid: 'k'.repeat(1025) }])).toEqual([
      'a kid of more than 1024 bytes',
    ]);
  });

  it('ignores keys with private members, on unknown curves, off the curve or of a bad size', () => {
    const rsa = (modulusLength: number) =>
      jwkOf(generateKeyPairSync('rsa', { modulusLength }).publicKey);
    const token = (jwk: object) => ({ use: 'jwt-svid', kid: 'k', ...jwk });
    const { y, ...withoutY } = tokenKey;
    expect(
      reasons([
        { ...tokenKey, d: 'AAAA' },
        { ...tokenKey, crv: 'secp256k1' },
        { ...tokenKey, crv: 7 },
        { ...tokenKey, x: y },
        { ...tokenKey, x: `${String(y)}A` },
        withoutY,
        token(rsa(1024)),
        token({ ...rsa(2048), n: '!' }),
        token({ kty: 'RSA', n: Buffer.alloc(1025, 255).toString('base64url'), e: 'AQAB' }),
        token({ kty: 'RSA', n: Buffer.alloc(5000, 255).toString('base64url'), e: 'AQAB' }),
      ]),
    ).toEqual([
      'the private key member "d"',
      'no known curve in "crv"',
      'no known curve in "crv"',
      'key members that make no valid key',
      'a malformed "x"',
      'a malformed "y"',
      'an RSA key of 1024 bits; 2048 to 8192 are allowed',
      'a malformed "n"',
      'an RSA key of 8200 bits; 2048 to 8192 are allowed',
      'a malformed "n"',
    ]);
  });
});

describe('serializeBundleDocument', () => {
  it('writes one key per authority: x5c of one, no kid, the key members of the certificate (X509-17)', () => {
    const { keys } = JSON.parse(serializeBundleDocument(bundleOf('a.test', root, other)));
    expect(keys).toHaveLength(2);
    expect(keys[0]).toEqual({ use: 'x509-svid', ...rootJwk, x5c: [base64(root)] });
  });

  it('writes the members of RSA keys (X509-17)', async () => {
    const rsa = await makeAuthority({ keys: await rsaKeys(2048) });
    const { keys } = JSON.parse(serializeBundleDocument(bundleOf('a.test', rsa)));
    const { n, e } = await webcrypto.subtle.exportKey('jwk', rsa.keys.publicKey);
    expect(keys).toEqual([{ use: 'x509-svid', kty: 'RSA', n, e, x5c: [base64(rsa)] }]);
  });

  it('writes kty and use on every key, and no member that is not defined (BUNDLE-6, BUNDLE-7)', () => {
    const { keys, ...numbers } = JSON.parse(serializeBundleDocument(fullBundle()));
    expect(Object.keys(numbers)).toEqual(['spiffe_sequence', 'spiffe_refresh_hint']);
    expect(keys.map((key: object) => Object.keys(key).sort().join(' '))).toEqual([
      'crv kty use x x5c y',
      'crv kty use x x5c y',
      'crv kid kty use x y',
      'crv kid kty use x y',
    ]);
    expect(keys.map(({ use }: { use: string }) => use)).toEqual([
      'x509-svid',
      'x509-svid',
      'jwt-svid',
      'wit-svid',
    ]);
  });

  it('reads back what it wrote, with the trust domain named apart (BUNDLE-4, BUNDLE-8)', () => {
    const bundle = fullBundle();
    const text = serializeBundleDocument(bundle, { indent: 2 });
    expect(text).not.toContain('a.test');
    const again = parseBundleDocument(td, text);
    expect(again.ignoredKeys).toEqual([]);
    expect(bundlesEqual(again.bundle, bundle)).toBe(true);
    expect(serializeBundleDocument(again.bundle, { indent: 2 })).toBe(text);
  });

  it('leaves WIT keys out on request, and writes the standard form for OIDC (BUNDLE-11)', () => {
    const bundle = fullBundle();
    expect(serializeBundleDocument(bundle, { includeWitKeys: false })).not.toContain('wit-svid');
    const { kty, crv, x, y } = createPublicKey({
      key: Buffer.from(publicKey),
      format: 'der',
      type: 'spki',
    }).export({ format: 'jwk' });
    expect(JSON.parse(serializeJwks(bundle))).toEqual({
      keys: [{ kty, crv, x, y, kid: 'k1', alg: 'ES256' }],
    });
  });

  it('refuses key IDs that are empty or come twice, also across kinds (WIT-18)', () => {
    const bundle = fullBundle();
    const { jwtAuthorities } = bundle;
    const twice = { ...bundle, witAuthorities: jwtAuthorities };
    expect(() => serializeBundleDocument(twice)).toThrow(refusal('comes twice'));
    expect(() => serializeBundleDocument(twice, { includeWitKeys: false })).not.toThrow();
    const nameless = jwtAuthorities.map((authority) => ({ ...authority, keyId: '' }));
    expect(() => serializeJwks({ ...bundle, jwtAuthorities: nameless })).toThrow(refusal('empty'));
  });
});

describe('bundle values', () => {
  it('is asked for again after the refresh hint, or five minutes without one (BUNDLE-9)', () => {
    expect(bundleRefreshSeconds(fullBundle())).toBe(300);
    expect(bundleRefreshSeconds({ ...fullBundle(), refreshHintSeconds: 60 })).toBe(60);
    expect(bundleRefreshSeconds({ ...fullBundle(), refreshHintSeconds: 0 })).toBe(300);
    expect(bundleRefreshSeconds(emptyBundle(td))).toBe(300);
  });

  it('has a digest over the content of the document, not over the order or taint', () => {
    const bundle = fullBundle();
    const { x509Authorities, jwtAuthorities, witAuthorities } = bundle;
    const digest = bundleDigest(bundle);
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    const same: Bundle[] = [
      { ...bundle, x509Authorities: [...x509Authorities].reverse() },
      { ...bundle, x509Authorities: x509Authorities.map((one) => ({ ...one, tainted: true })) },
      { ...bundle, jwtAuthorities: jwtAuthorities.map((one) => ({ ...one, expiresAt: 1 })) },
    ];
    for (const other of same) {
      expect(bundleDigest(other)).toBe(digest);
      expect(bundlesEqual(other, bundle)).toBe(false);
    }
    const different: Bundle[] = [
      { ...bundle, trustDomain: TrustDomain.parse('b.test') },
      { ...bundle, sequenceNumber: 1n },
      { ...bundle, refreshHintSeconds: undefined },
      { ...bundle, x509Authorities: x509Authorities.slice(1) },
      { ...bundle, jwtAuthorities: witAuthorities, witAuthorities: jwtAuthorities },
      { ...bundle, jwtAuthorities: [] },
      emptyBundle(td),
    ];
    const digests = [bundle, ...different].map(bundleDigest);
    expect(new Set(digests).size).toBe(digests.length);
    for (const other of different) expect(bundlesEqual(other, bundle)).toBe(false);
  });
});

describe('findSharedKeys', () => {
  it('finds a key that stands under two trust domains or two uses (BUNDLE-10)', () => {
    const bundle = fullBundle();
    const foreign = bundleOf('b.test', other);
    const shared = findSharedKeys([bundle, foreign]).map(({ places }) => places);
    expect(shared).toContainEqual(['a.test x509-svid', 'b.test x509-svid']);
    expect(shared).toContainEqual(['a.test jwt-svid', 'a.test wit-svid']);
    expect(shared).toHaveLength(2);
    expect(findSharedKeys([bundleOf('a.test', root, root), foreign])).toEqual([]);
  });
});
