import { type DerElement, DerReader, derContent, derTags } from './der-reader.ts';
import { derBitStringBytes, derIntegerBytes, derOid } from './der-values.ts';
import { TrustplaneError } from './errors.ts';

export type PublicKeyType = 'ec-p256' | 'ec-p384' | 'rsa';

/** A public key of a type and size that SVIDs may have. */
export interface PublicKeyInfo {
  readonly type: PublicKeyType;
  /** The content of subjectPublicKey, of which key identifiers are hashes. */
  readonly keyBits: Uint8Array;
}

const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';
const UNCOMPRESSED = 4;
const curves = new Map<string, { readonly type: PublicKeyType; readonly pointBytes: number }>([
  ['1.2.840.10045.3.1.7', { type: 'ec-p256', pointBytes: 65 }],
  ['1.3.132.0.34', { type: 'ec-p384', pointBytes: 97 }],
]);
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 4096;
const MAX_EXPONENT_BYTES = 5;
const MAX_SPKI_BYTES = 1024;

/**
 * Parses a SubjectPublicKeyInfo (DER): EC P-256 or P-384 with an uncompressed point, or RSA of 2048
 * to 4096 bits. That an EC point is on its curve is left to the cryptography library.
 * @throws TrustplaneError ERR_DER, ERR_PUBLIC_KEY
 */
export function parsePublicKey(spki: Uint8Array): PublicKeyInfo {
  const outer = DerReader.of(spki, MAX_SPKI_BYTES);
  const reader = outer.enter('public key');
  outer.finish('public key');
  const algorithm = reader.enter('public key algorithm');
  const oid = derOid(algorithm.expect(derTags.oid, 'public key algorithm'), 'public key algorithm');
  const parameters = algorithm.atEnd ? undefined : algorithm.read('public key parameters');
  algorithm.finish('public key algorithm');
  const keyBits = derBitStringBytes(reader.expect(derTags.bitString, 'public key'), 'public key');
  reader.finish('public key');
  if (oid === EC_PUBLIC_KEY) return { type: ecType(parameters, keyBits), keyBits };
  if (oid !== RSA_ENCRYPTION) throw refused(`algorithm ${oid}`);
  checkRsa(parameters, keyBits);
  return { type: 'rsa', keyBits };
}

function ecType(parameters: DerElement | undefined, point: Uint8Array): PublicKeyType {
  if (parameters?.tag !== derTags.oid) throw refused('EC parameters that are no named curve');
  const oid = derOid(parameters, 'named curve');
  const curve = curves.get(oid);
  if (curve === undefined) throw refused(`curve ${oid}`);
  if (point.length !== curve.pointBytes || point[0] !== UNCOMPRESSED) {
    throw refused(`an EC point of ${point.length} bytes that is not uncompressed`);
  }
  return curve.type;
}

function checkRsa(parameters: DerElement | undefined, key: Uint8Array): void {
  if (parameters?.tag !== derTags.null || derContent(parameters).length > 0) {
    throw refused('RSA parameters that are not NULL');
  }
  const outer = DerReader.of(key);
  const reader = outer.enter('RSA public key');
  outer.finish('RSA public key');
  const modulus = derIntegerBytes(reader.expect(derTags.integer, 'RSA modulus'), 'RSA modulus');
  const exponent = derIntegerBytes(reader.expect(derTags.integer, 'RSA exponent'), 'RSA exponent');
  reader.finish('RSA public key');
  const bits = bitLength(modulus);
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) throw refused(`an RSA key of ${bits} bits`);
  const isOdd = ((exponent.at(-1) ?? 0) & 1) === 1;
  if (exponent.length > MAX_EXPONENT_BYTES || !isOdd || bitLength(exponent) < 2) {
    throw refused('an RSA exponent that is even, 1, negative or over 4 bytes');
  }
}

/** Bits of a minimal two's complement integer; 0 when it is not positive. */
function bitLength(integer: Uint8Array): number {
  const magnitude = integer[0] === 0 ? integer.subarray(1) : integer;
  if (magnitude === integer && (integer[0] ?? 0x80) >= 0x80) return 0;
  const first = magnitude[0];
  return first === undefined ? 0 : magnitude.length * 8 - (Math.clz32(first) - 24);
}

function refused(got: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_PUBLIC_KEY',
    `a key is EC P-256, EC P-384 or RSA of ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits; got ${got}`,
  );
}
