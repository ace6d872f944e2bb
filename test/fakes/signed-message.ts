import { createHash, type KeyObject, sign } from 'node:crypto';
import {
  constructedContextTag,
  derTags,
  writeDer,
  writeNull,
  writeOctetString,
  writeOid,
  writeSequence,
  writeUnsignedInteger,
} from '../../src/spiffe/index.ts';

/** What a test wants to be different in a message. */
export interface MessageOptions {
  /** Default what is signed. */
  readonly digestOf?: Uint8Array;
  readonly digestOid?: string;
  readonly hash?: string;
  /** Whether the content alone is signed, without attributes. */
  readonly isBare?: boolean;
  readonly contentType?: string;
  readonly digestTwice?: boolean;
  readonly signers?: number;
}

const OIDS = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  sha256: '2.16.840.1.101.3.4.2.1',
  rsa: '1.2.840.113549.1.1.1',
};
const set = (...parts: readonly Uint8Array[]): Uint8Array => writeDer(derTags.set, ...parts);
const zero = (...parts: readonly Uint8Array[]): Uint8Array =>
  writeDer(constructedContextTag(0), ...parts);
const one = writeUnsignedInteger(Uint8Array.of(1));

/** A CMS SignedData in DER, as OpenSSL makes it of `cms -sign -nodetach -nocerts`. */
export function makeSignedMessage(
  content: Uint8Array,
  key: KeyObject,
  options: MessageOptions = {},
): Buffer {
  const { digestOf = content, digestOid = OIDS.sha256, hash = 'sha256' } = options;
  const digest = createHash('sha256').update(digestOf).digest();
  const attributes = [
    writeSequence(writeOid(OIDS.contentType), set(writeOid(options.contentType ?? OIDS.data))),
    writeSequence(writeOid(OIDS.messageDigest), set(writeOctetString(digest))),
    ...(options.digestTwice === true
      ? [writeSequence(writeOid(OIDS.messageDigest), set(writeOctetString(digest)))]
      : []),
  ];
  const signed = options.isBare === true ? content : set(...attributes);
  const signer = writeSequence(
    one,
    writeSequence(writeSequence(), one),
    writeSequence(writeOid(digestOid), writeNull()),
    ...(options.isBare === true ? [] : [zero(...attributes)]),
    writeSequence(writeOid(OIDS.rsa), writeNull()),
    writeOctetString(sign(hash, signed, key)),
  );
  const signers = Array.from({ length: options.signers ?? 1 }, () => signer);
  const body = writeSequence(
    one,
    set(writeSequence(writeOid(OIDS.sha256), writeNull())),
    writeSequence(writeOid(OIDS.data), zero(writeOctetString(content))),
    set(...signers),
  );
  return Buffer.from(writeSequence(writeOid(OIDS.signedData), zero(body)));
}

/** The same in base64, in lines of 64 without armor, as AWS's metadata service gives it. */
export function inLines(bytes: Uint8Array): string {
  return (
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/gu) ?? []
  ).join('\n');
}
