import { DerReader, derError, derTags } from './der-reader.ts';
import { derBitStringBytes, derIntegerBytes, derOid } from './der-values.ts';

/** What a public key is: an EC key on a NIST curve, an RSA key, or something not used here. */
export type KeyAlgorithm = (
  | { readonly kind: 'ec'; readonly curve: 'P-256' | 'P-384' | 'P-521' }
  | { readonly kind: 'rsa'; readonly modulusBits: number; readonly exponentBits: number }
  | { readonly kind: 'other'; readonly oid: string }
) & {
  /** The content of subjectPublicKey, of which key identifiers are hashes. */
  readonly keyBits: Uint8Array;
};

type Curve = Extract<KeyAlgorithm, { kind: 'ec' }>['curve'];
const OID_EC = '1.2.840.10045.2.1';
const OID_RSA = '1.2.840.113549.1.1.1';
const CURVES = new Map<string, { readonly curve: Curve; readonly pointBytes: number }>([
  ['1.2.840.10045.3.1.7', { curve: 'P-256', pointBytes: 65 }],
  ['1.3.132.0.34', { curve: 'P-384', pointBytes: 97 }],
  ['1.3.132.0.35', { curve: 'P-521', pointBytes: 133 }],
]);
const UNCOMPRESSED = 4;
const MIN_RSA_BITS = 2048;
/** Larger keys make the verifier burn CPU for whoever sends them. */
const MAX_RSA_BITS = 8192;
const MAX_RSA_EXPONENT_BITS = 32;

/**
 * Reads which key a SubjectPublicKeyInfo (RFC 5280 §4.1, DER) holds. A point of a NIST curve is
 * uncompressed; that it is on its curve is left to the cryptography library.
 * @throws TrustplaneError ERR_DER
 */
export function parseKeyAlgorithm(spki: Uint8Array): KeyAlgorithm {
  const outer = DerReader.of(spki);
  const info = outer.enter('public key');
  const algorithm = info.enter('public key algorithm');
  const oid = derOid(algorithm.expect(derTags.oid, 'public key algorithm'), 'public key algorithm');
  const parameters = algorithm.atEnd ? undefined : algorithm.read('public key parameters');
  algorithm.finish('public key algorithm');
  const bits = info.expect(derTags.bitString, 'public key bits');
  info.finish('public key');
  outer.finish('public key');
  const keyBits = derBitStringBytes(bits, 'public key bits');
  if (oid === OID_RSA) return { ...rsaSizes(keyBits), keyBits };
  const isNamedCurve = oid === OID_EC && parameters?.tag === derTags.oid;
  const known = isNamedCurve ? CURVES.get(derOid(parameters, 'curve')) : undefined;
  if (known === undefined) return { kind: 'other', oid, keyBits };
  if (keyBits.length !== known.pointBytes || keyBits[0] !== UNCOMPRESSED) {
    throw derError(bits, 'public key bits', 'hold no uncompressed point of the curve');
  }
  return { kind: 'ec', curve: known.curve, keyBits };
}

function rsaSizes(key: Uint8Array) {
  const outer = DerReader.of(key);
  const sequence = outer.enter('RSA key');
  const modulusBits = oddBitLength(sequence, 'RSA modulus');
  const exponentBits = oddBitLength(sequence, 'RSA exponent');
  sequence.finish('RSA key');
  outer.finish('RSA key');
  return { kind: 'rsa', modulusBits, exponentBits } as const;
}

/** 0 for a number that is even or negative and so in no RSA key. */
function oddBitLength(sequence: DerReader, what: string): number {
  const content = derIntegerBytes(sequence.expect(derTags.integer, what), what);
  const [first = 0, second = 0] = content;
  if (first >= 0x80 || ((content.at(-1) ?? 0) & 1) === 0) return 0;
  const octets = first === 0 ? content.length - 1 : content.length;
  return octets * 8 - (Math.clz32(first === 0 ? second : first) - 24);
}

/** Why a key is not used to verify anything, or undefined when it may be: EC P-256, P-384, P-521; RSA of 2048 to 8192 bits. */
export function keyAlgorithmFault(algorithm: KeyAlgorithm): string | undefined {
  if (algorithm.kind === 'other') return `a key of the unsupported type ${algorithm.oid}`;
  if (algorithm.kind === 'ec') return undefined;
  const { modulusBits, exponentBits } = algorithm;
  if (modulusBits < MIN_RSA_BITS || modulusBits > MAX_RSA_BITS) {
    return `an RSA key of ${modulusBits} bits; ${MIN_RSA_BITS} to ${MAX_RSA_BITS} are allowed`;
  }
  if (exponentBits < 2 || exponentBits > MAX_RSA_EXPONENT_BITS) {
    return `an RSA exponent of ${exponentBits} bits; 2 to ${MAX_RSA_EXPONENT_BITS} are allowed`;
  }
  return undefined;
}
