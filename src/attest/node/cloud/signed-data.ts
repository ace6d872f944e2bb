import { createHash, type KeyObject, verify } from 'node:crypto';
import {
  constructedContextTag,
  type DerElement,
  DerReader,
  derContent,
  derEncoded,
  derOid,
  derSmallInteger,
  derTags,
  sameBytes,
  TrustplaneError,
} from '../../../spiffe/index.ts';
import { berToDer } from './ber-to-der.ts';

const OIDS = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const;
/** rsaEncryption, and sha256WithRSAEncryption. */
const SIGNATURES = new Set(['1.2.840.113549.1.1.1', '1.2.840.113549.1.1.11']);
const MAX_ATTRIBUTES = 16;
const SET_TAG = Uint8Array.of(derTags.set);

/** A CMS (PKCS#7) message with what it signs inside, of one signer: RSA with SHA-256. */
export interface SignedData {
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
  /** What the signature is over: the content, or attributes that hold its digest. */
  readonly signed: Uint8Array;
}

/**
 * Parses a SignedData (RFC 5652 §5) in DER, or in the BER that streaming writers make. Certificates in
 * it, and whom it names as its signer, are not looked at: who verifies has the keys.
 * @throws TrustplaneError ERR_DER; ERR_NODE_ATTEST_SIGNATURE when the signed digest is of other content
 */
export function parseSignedData(bytes: Uint8Array): SignedData {
  const outer = DerReader.of(berToDer(bytes));
  const info = outer.enter('ContentInfo');
  outer.finish('ContentInfo');
  requireOid(info, OIDS.signedData, 'content type');
  const explicit = info.enter('content', constructedContextTag(0));
  info.finish('ContentInfo');
  const body = explicit.enter('SignedData');
  explicit.finish('content');
  derSmallInteger(body.expect(derTags.integer, 'version'), 'version');
  body.expect(derTags.set, 'digestAlgorithms');
  const content = readContent(body.enter('encapContentInfo'));
  body.optional(constructedContextTag(0), 'certificates');
  body.optional(constructedContextTag(1), 'crls');
  const signers = body.enter('signerInfos', derTags.set);
  body.finish('SignedData');
  const signer = readSigner(signers.enter('SignerInfo'), content);
  signers.finish('signerInfos, of which there may be one,');
  return { content, ...signer };
}

/** Whether one of the keys made the signature. */
export function isSignedByOne(message: SignedData, keys: readonly KeyObject[]): boolean {
  return keys.some((key) => verify('sha256', message.signed, key, message.signature));
}

function readContent(info: DerReader): Uint8Array {
  requireOid(info, OIDS.data, 'type of what is signed');
  const explicit = info.enter('eContent', constructedContextTag(0));
  info.finish('encapContentInfo');
  const content = derContent(explicit.expect(derTags.octetString, 'eContent'));
  explicit.finish('eContent');
  return content;
}

function readSigner(signer: DerReader, content: Uint8Array): Omit<SignedData, 'content'> {
  derSmallInteger(signer.expect(derTags.integer, 'signer version'), 'signer version');
  signer.read('sid');
  readAlgorithm(signer, 'digestAlgorithm', (oid) => oid === OIDS.sha256);
  const attributes = signer.optional(constructedContextTag(0), 'signedAttrs');
  readAlgorithm(signer, 'signatureAlgorithm', (oid) => SIGNATURES.has(oid));
  const signature = derContent(signer.expect(derTags.octetString, 'signature'));
  signer.optional(constructedContextTag(1), 'unsignedAttrs');
  signer.finish('SignerInfo');
  if (attributes === undefined) return { signature, signed: content };
  requireDigest(attributes, content);
  // Signed as the SET that it is, not with the tag it is sent under (RFC 5652 §5.4).
  const signed = Buffer.concat([SET_TAG, derEncoded(attributes).subarray(1)]);
  return { signature, signed };
}

function readAlgorithm(signer: DerReader, what: string, isKnown: (oid: string) => boolean): void {
  const identifier = signer.enter(what);
  const oid = derOid(identifier.expect(derTags.oid, what), what);
  identifier.optional(derTags.null, `${what} parameters`);
  identifier.finish(what);
  if (isKnown(oid)) return;
  throw unsigned(`its ${what} is ${oid}; expected RSA with SHA-256`);
}

/** The attributes say, once each, what is signed and which digest it has (RFC 5652 §11). */
function requireDigest(attributes: DerElement, content: Uint8Array): void {
  const found = readAttributes(attributes);
  const type = found.get(OIDS.contentType);
  const digest = found.get(OIDS.messageDigest);
  if (type === undefined || digest === undefined) {
    throw unsigned('its signed attributes lack the content type or the digest');
  }
  requireOid(type, OIDS.data, 'signed content type');
  type.finish('signed content type');
  const claimed = derContent(digest.expect(derTags.octetString, 'messageDigest'));
  digest.finish('messageDigest');
  if (sameBytes(claimed, createHash('sha256').update(content).digest())) return;
  throw unsigned('the digest that is signed is of other content');
}

/** The values of each attribute, by OID. */
function readAttributes(attributes: DerElement): ReadonlyMap<string, DerReader> {
  const all = DerReader.inside(attributes, 'signedAttrs');
  const found = new Map<string, DerReader>();
  while (!all.atEnd) {
    const attribute = all.enter('attribute');
    const oid = derOid(attribute.expect(derTags.oid, 'attribute'), 'attribute');
    const values = attribute.enter('attribute values', derTags.set);
    attribute.finish('attribute');
    if (found.has(oid)) throw unsigned(`its signed attribute ${oid} comes twice`);
    if (found.size === MAX_ATTRIBUTES) throw unsigned(`it has over ${MAX_ATTRIBUTES} attributes`);
    found.set(oid, values);
  }
  return found;
}

function requireOid(reader: DerReader, expected: string, what: string): void {
  const oid = derOid(reader.expect(derTags.oid, what), what);
  if (oid === expected) return;
  throw new TrustplaneError(
    'ERR_DER',
    `malformed DER: the ${what} is ${oid}; expected ${expected}`,
  );
}

function unsigned(why: string): TrustplaneError {
  return new TrustplaneError('ERR_NODE_ATTEST_SIGNATURE', `the signed message: ${why}`);
}
