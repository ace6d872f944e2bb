import {
  asciiBytes,
  writeBitString,
  writeConstructed,
  writeOctetString,
  writeOid,
  writePrimitive,
  writeSequence,
  writeSetOfOne,
  writeUnsignedInteger,
} from './der-writer.ts';
import type { P256KeyPair } from './key-pair.ts';
import type { SpiffeId } from './spiffe-id.ts';

const VERSION_1 = writeUnsignedInteger(Uint8Array.of(0));
const EMPTY_NAME = writeSequence();
const EXTENSION_REQUEST = writeOid('1.2.840.113549.1.9.14');
const SUBJECT_ALT_NAME = writeOid('2.5.29.17');
const ECDSA_WITH_SHA256 = writeSequence(writeOid('1.2.840.10045.4.3.2'));
const DNS_NAME = 2;
const URI_NAME = 6;

/**
 * Builds a PKCS#10 request (RFC 2986) of a P-256 key with the SPIFFE ID as its only URI SAN, and DNS
 * names where they are wanted, signed ECDSA-SHA256, with an empty subject: `buildCsr({ ...generateP256KeyPair(), spiffeId })`. Without
 * either, for who does not know its own ID yet, it asks for no name.
 */
export function buildCsr(
  options: Pick<P256KeyPair, 'publicKey' | 'sign'> & {
    readonly spiffeId?: SpiffeId;
    /** ASCII. */
    readonly dnsNames?: readonly string[];
  },
): Uint8Array {
  const { spiffeId, dnsNames = [] } = options;
  const attributes =
    spiffeId === undefined && dnsNames.length === 0
      ? writeConstructed(0)
      : writeConstructed(0, extensionRequest(spiffeId, dnsNames));
  const info = writeSequence(VERSION_1, EMPTY_NAME, options.publicKey, attributes);
  return new Uint8Array(writeSequence(info, ECDSA_WITH_SHA256, writeBitString(options.sign(info))));
}

function extensionRequest(spiffeId: SpiffeId | undefined, dnsNames: readonly string[]) {
  const uris = spiffeId === undefined ? [] : [asciiBytes(spiffeId.toString())];
  const names = [
    ...uris.map((uri) => writePrimitive(URI_NAME, uri)),
    ...dnsNames.map((name) => writePrimitive(DNS_NAME, asciiBytes(name))),
  ];
  const altName = writeSequence(SUBJECT_ALT_NAME, writeOctetString(writeSequence(...names)));
  return writeSequence(EXTENSION_REQUEST, writeSetOfOne(writeSequence(altName)));
}
