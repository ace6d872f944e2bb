import {
  asciiBytes,
  type TrustDomain,
  writeBitString,
  writeConstructed,
  writeOctetString,
  writeOid,
  writePrimitive,
  writeSequence,
  writeSetOfOne,
  writeUnsignedInteger,
} from '../spiffe/index.ts';
import { writeName } from './distinguished-name.ts';
import type { SigningKey } from './key-manager.ts';
import { signatureAlgorithms } from './signature-algorithm.ts';

const VERSION_1 = writeUnsignedInteger(Uint8Array.of(0));
const EXTENSION_REQUEST = writeOid('1.2.840.113549.1.9.14');
const SUBJECT_ALT_NAME = writeOid('2.5.29.17');
const URI_NAME = 6;

/** A PKCS#10 request (RFC 2986) for an authority of the trust domain, with its ID as the only SAN. */
export async function writeCaCsr(key: SigningKey, trustDomain: TrustDomain): Promise<Uint8Array> {
  const uri = writePrimitive(URI_NAME, asciiBytes(trustDomain.id));
  const altName = writeSequence(SUBJECT_ALT_NAME, writeOctetString(writeSequence(uri)));
  const extensions = writeSequence(EXTENSION_REQUEST, writeSetOfOne(writeSequence(altName)));
  const info = writeSequence(
    VERSION_1,
    writeName([{ type: 'organization', value: 'trustplane' }]),
    key.publicKey,
    writeConstructed(0, extensions),
  );
  const algorithm = signatureAlgorithms[key.keyType];
  const signature = await key.sign(new Uint8Array(info));
  return new Uint8Array(writeSequence(info, algorithm, writeBitString(signature)));
}
