import { createHash } from 'node:crypto';
import {
  asciiBytes,
  type Clock,
  generateP256KeyPair,
  writeBitString,
  writeConstructed,
  writeOctetString,
  writeOid,
  writePrimitive,
  writeSequence,
  writeTime,
  writeTrue,
  writeUnsignedInteger,
} from '../../spiffe/index.ts';
import type { TlsIdentity } from '../../wire/index.ts';

const HOUR_MS = 3_600_000;
const DNS_NAME = 2;
const VERSION_3 = writeConstructed(0, writeUnsignedInteger(Uint8Array.of(2)));
const ECDSA_WITH_SHA256 = writeSequence(writeOid('1.2.840.10045.4.3.2'));
const NAME = writeSequence();
const SUBJECT_ALT_NAME = writeOid('2.5.29.17');
const ACME_IDENTIFIER = writeOid('1.3.6.1.5.5.7.1.31');

/** The self-signed certificate that proves control of a domain name with tls-alpn-01 (RFC 8737, section 3). */
export function buildChallengeCertificate(
  domainName: string,
  keyAuthorization: string,
  clock: Pick<Clock, 'now'>,
): TlsIdentity {
  const { publicKey, privateKey, sign } = generateP256KeyPair();
  const proof = createHash('sha256').update(keyAuthorization).digest();
  const names = writeSequence(writePrimitive(DNS_NAME, asciiBytes(domainName)));
  const now = clock.now();
  const tbs = writeSequence(
    VERSION_3,
    writeUnsignedInteger(Uint8Array.of(1)),
    ECDSA_WITH_SHA256,
    NAME,
    writeSequence(writeTime(now - HOUR_MS), writeTime(now + HOUR_MS)),
    NAME,
    publicKey,
    writeConstructed(
      3,
      writeSequence(
        // Critical, as everywhere where the subject is empty (RFC 5280, section 4.2.1.6).
        writeSequence(SUBJECT_ALT_NAME, writeTrue(), writeOctetString(names)),
        writeSequence(ACME_IDENTIFIER, writeTrue(), writeOctetString(writeOctetString(proof))),
      ),
    ),
  );
  const certificate = writeSequence(tbs, ECDSA_WITH_SHA256, writeBitString(sign(tbs)));
  return { certificateChain: [new Uint8Array(certificate)], privateKey };
}
