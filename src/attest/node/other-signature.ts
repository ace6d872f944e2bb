import {
  type Certificate,
  DerReader,
  derBitStringBytes,
  derEncoded,
  derIntegerBytes,
  derTags,
  writeBitString,
  writeSequence,
  writeUnsignedInteger,
} from '../../spiffe/index.ts';

/** Of the groups of the curves; SEC 2 §2. */
const ORDERS = {
  'P-256': 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  'P-384':
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  'P-521':
    0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
} as const;

/**
 * The second number of an ECDSA signature that is as good as this one with the same first: anybody can tell it,
 * so a document signed with ECDSA has two forms. Big-endian, without leading zeros.
 */
export function otherNumber(s: Uint8Array, curve: keyof typeof ORDERS): Uint8Array {
  const number = BigInt(`0x${Buffer.from(s).toString('hex')}`);
  const hex = (ORDERS[curve] - number).toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/** The other form of a verified certificate; undefined where its issuer signs in one form alone. */
export function otherCertificate(
  { der }: Pick<Certificate, 'der'>,
  { keyAlgorithm }: Pick<Certificate, 'keyAlgorithm'>,
): Uint8Array | undefined {
  if (keyAlgorithm.kind !== 'ec') return undefined;
  const certificate = DerReader.of(der).enter('certificate');
  const tbs = derEncoded(certificate.expect(derTags.sequence, 'signed part'));
  const algorithm = derEncoded(certificate.expect(derTags.sequence, 'signature algorithm'));
  const bits = certificate.expect(derTags.bitString, 'signature');
  const signature = DerReader.of(derBitStringBytes(bits, 'signature')).enter('signature');
  const [r, s] = ['r', 's'].map((name) =>
    derIntegerBytes(signature.expect(derTags.integer, name), name),
  );
  if (r === undefined || s === undefined) return undefined;
  const other = writeSequence(
    writeUnsignedInteger(r),
    writeUnsignedInteger(otherNumber(s, keyAlgorithm.curve)),
  );
  return writeSequence(tbs, algorithm, writeBitString(other));
}
