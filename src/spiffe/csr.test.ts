import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  ChallengePasswordAttribute,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '../../test/oracles/x509.ts';
import { buildCsr } from './build-csr.ts';
import { generateP256KeyPair } from './key-pair.ts';
import { parseCsr } from './parse-csr.ts';
import { SpiffeId } from './spiffe-id.ts';

const spiffeId = SpiffeId.parse('spiffe://a.test/ns/prod/web');

describe('generateP256KeyPair', () => {
  it('makes the encodings that OpenSSL makes of the same key', () => {
    const pair = generateP256KeyPair();
    const key = createPrivateKey({
      key: Buffer.from(pair.privateKey),
      format: 'der',
      type: 'pkcs8',
    });
    expect(createPublicKey(key).export({ type: 'spki', format: 'der' })).toEqual(
      Buffer.from(pair.publicKey),
    );
    expect(key.export({ type: 'pkcs8', format: 'der' })).toEqual(Buffer.from(pair.privateKey));
  });
});

describe('buildCsr', () => {
  it('is read back as it was built', () => {
    const pair = generateP256KeyPair();
    expect(parseCsr(buildCsr({ ...pair, spiffeId }))).toEqual({
      publicKey: pair.publicKey,
      uriSans: ['spiffe://a.test/ns/prod/web'],
      dnsSans: [],
    });
  });

  it('carries an ID of 2048 bytes (ID-8)', () => {
    const longest = SpiffeId.parse(`spiffe://a.test/${'x'.repeat(2048 - 16)}`);
    const csr = parseCsr(buildCsr({ ...generateP256KeyPair(), spiffeId: longest }));
    expect(csr.uriSans).toEqual([longest.toString()]);
  });

  it('verifies for another implementation', async () => {
    const request = new Pkcs10CertificateRequest(buildCsr({ ...generateP256KeyPair(), spiffeId }));
    expect(await request.verify()).toBe(true);
    const names = request.getExtension('2.5.29.17');
    expect(names).toBeInstanceOf(SubjectAlternativeNameExtension);
    expect(names).toMatchObject({
      names: { items: [{ type: 'url', value: spiffeId.toString() }] },
    });
  });
});

describe('parseCsr', () => {
  it.each([
    { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
    { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
    rsa(2048),
    rsa(4096),
  ])('reads what another implementation makes with $name $namedCurve', async (algorithm) => {
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const request = await Pkcs10CertificateRequestGenerator.create({
      name: 'C=US, O=SPIRE',
      keys,
      signingAlgorithm: algorithm,
      attributes: [new ChallengePasswordAttribute('ignored')],
      extensions: [
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new SubjectAlternativeNameExtension([
          { type: 'url', value: 'spiffe://a.test/web' },
          { type: 'dns', value: 'web.a.test' },
          { type: 'ip', value: '10.0.0.1' },
          { type: 'dns', value: 'www.a.test' },
        ]),
      ],
    });
    expect(parseCsr(new Uint8Array(request.rawData))).toEqual({
      publicKey: new Uint8Array(request.publicKey.rawData),
      uriSans: ['spiffe://a.test/web'],
      dnsSans: ['web.a.test', 'www.a.test'],
    });
  });

  it('refuses a request that another key signed', () => {
    const { publicKey } = generateP256KeyPair();
    const stolen = buildCsr({ publicKey, sign: generateP256KeyPair().sign, spiffeId });
    expect(() => parseCsr(stolen)).toThrow(expect.objectContaining({ code: 'ERR_CSR_SIGNATURE' }));
  });

  it.each([
    ['EC P-521', generateKeyPairSync('ec', { namedCurve: 'P-521' })],
    ['EC secp256k1', generateKeyPairSync('ec', { namedCurve: 'secp256k1' })],
    ['RSA of 1024 bits', generateKeyPairSync('rsa', { modulusLength: 1024 })],
    ['RSA with an even exponent', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['RSA-PSS', generateKeyPairSync('rsa-pss', { modulusLength: 2048 })],
    ['Ed25519', generateKeyPairSync('ed25519')],
  ])('refuses a key of type %s', (name, pair) => {
    const publicKey = Uint8Array.from(pair.publicKey.export({ type: 'spki', format: 'der' }));
    if (name === 'RSA with an even exponent') publicKey.set([1, 0, 0], publicKey.length - 3);
    const csr = buildCsr({ publicKey, sign: () => new Uint8Array(70), spiffeId });
    expect(() => parseCsr(csr)).toThrow(expect.objectContaining({ code: 'ERR_PUBLIC_KEY' }));
  });

  it('refuses a P-256 point that is off the curve', () => {
    const pair = generateP256KeyPair();
    const publicKey = Uint8Array.from(pair.publicKey);
    publicKey[90] = (publicKey[90] ?? 0) ^ 1;
    expect(() => parseCsr(buildCsr({ ...pair, publicKey, spiffeId }))).toThrow(
      expect.objectContaining({ code: 'ERR_PUBLIC_KEY' }),
    );
  });

  it('refuses over 16 KiB', () => {
    expect(() => parseCsr(new Uint8Array(16_385))).toThrow(
      expect.objectContaining({ code: 'ERR_DER' }),
    );
  });

  it('refuses a request with any one byte changed', () => {
    const good = buildCsr({ ...generateP256KeyPair(), spiffeId });
    for (let at = 0; at < good.length; at++) {
      const bad = Uint8Array.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x04;
      expect(() => parseCsr(bad), `byte ${at}`).toThrow(
        expect.objectContaining({
          code: expect.stringMatching(/^ERR_(DER|CSR|CSR_SIGNATURE|PUBLIC_KEY)$/),
        }),
      );
    }
  });
});

function rsa(modulusLength: number): {
  name: string;
  hash: string;
  modulusLength: number;
  namedCurve: string;
  publicExponent: Uint8Array<ArrayBuffer>;
} {
  return {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength,
    namedCurve: `${modulusLength}`,
    publicExponent: Uint8Array.of(1, 0, 1),
  };
}
