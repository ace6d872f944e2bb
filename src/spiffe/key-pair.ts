import { generateKeyPairSync, sign } from 'node:crypto';
import { TrustplaneError } from './errors.ts';
import { P256_POINT_BYTES, P256_SPKI_HEAD, UNCOMPRESSED_POINT } from './public-key.ts';

/** A P-256 key pair with its signing function. */
export interface P256KeyPair {
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /** PKCS#8 DER, unencrypted. */
  readonly privateKey: Uint8Array;
  /** ECDSA over SHA-256 of `data`, DER form. */
  readonly sign: (data: Uint8Array) => Uint8Array;
}

/** PKCS#8 with RFC 5915 inside, the point last. */
const PKCS8_BYTES = 138;

/**
 * Makes a P-256 key pair. The public key is copied out of the PKCS#8 encoding behind a fixed head:
 * OpenSSL's own SubjectPublicKeyInfo export costs twice the key generation.
 */
export function generateP256KeyPair(): P256KeyPair {
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const privateKey = Uint8Array.from(key.export({ type: 'pkcs8', format: 'der' }));
  const point = privateKey.subarray(-P256_POINT_BYTES);
  if (privateKey.length !== PKCS8_BYTES || point[0] !== UNCOMPRESSED_POINT) {
    throw new TrustplaneError('ERR_INTERNAL', 'a P-256 key in a PKCS#8 form that is not expected');
  }
  const publicKey = new Uint8Array(P256_SPKI_HEAD.length + P256_POINT_BYTES);
  publicKey.set(P256_SPKI_HEAD);
  publicKey.set(point, P256_SPKI_HEAD.length);
  return { publicKey, privateKey, sign: (data) => sign('sha256', data, key) };
}
