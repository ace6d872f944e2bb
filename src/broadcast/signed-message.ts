import { createPrivateKey, sign } from 'node:crypto';
import {
  type Bundle,
  decodeBase64,
  decodeBase64Url,
  type ErrorCode,
  isSignedWith,
  type JsonObject,
  type JsonValue,
  jwsAlgorithm,
  messageOf,
  parseCertificate,
  parseJson,
  parseX509Svid,
  quote,
  type SpiffeId,
  TrustplaneError,
  verifyX509Svid,
} from '../spiffe/index.ts';

/** An X509-SVID that signs messages. */
export interface MessageSigner {
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#8 DER, unencrypted. */
  readonly privateKey: Uint8Array;
}

/** Who has to have signed a message, and what tells that they did. */
export interface MessageTrust {
  readonly publisherId: SpiffeId;
  /** The bundle of the publisher's trust domain as it is now. */
  readonly bundle: Bundle;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** `typ` of the protected headers; one kind of message is never taken for another. */
export type MessageType = 'trustplane-bundle+jws' | 'trustplane-ack+jws';

export const messageLimits = {
  /** What a NATS server takes in one message unless it is told otherwise. */
  bytes: 1_048_576,
  signatures: 8,
  /** Of a chain, leaf included. */
  certificates: 8,
} as const;

const ALGORITHMS: readonly string[] = ['ES256', 'ES384', 'RS256', 'PS256'];
const HEADERS = ['alg', 'typ', 'x5c'];
/** `parseJson` counts the levels of a message, not those of its payload. */
const MAX_DEPTH = 4;

interface ReadSignature {
  readonly algorithm: string;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** What is signed: protected header, dot, payload. */
  readonly input: string;
  readonly signature: Uint8Array;
}

/**
 * A payload with one signature of each signer: JWS general JSON serialization (RFC 7515 §7.2.1), the
 * chain of each in its protected header.
 * @throws TrustplaneError ERR_BUNDLE_MESSAGE_SIZE, ERR_BUNDLE_MESSAGE_FORMAT when there are no signers or too many
 */
export function signMessage(
  typ: MessageType,
  payload: string,
  signers: readonly MessageSigner[],
): Uint8Array {
  if (signers.length === 0 || signers.length > messageLimits.signatures) {
    throw malformed(`1 to ${messageLimits.signatures} signers; got ${signers.length}`);
  }
  const body = Buffer.from(payload).toString('base64url');
  const signatures = signers.map((signer) => signatureOf(typ, body, signer));
  const bytes = Buffer.from(JSON.stringify({ payload: body, signatures }));
  requireSize(bytes);
  return new Uint8Array(bytes);
}

function signatureOf(typ: MessageType, body: string, signer: MessageSigner) {
  const [leaf = new Uint8Array()] = signer.certificateChain;
  const alg = jwsAlgorithm(parseCertificate(leaf).publicKey);
  const x5c = signer.certificateChain.map((der) => Buffer.from(der).toString('base64'));
  const header = Buffer.from(JSON.stringify({ alg, typ, x5c })).toString('base64url');
  const key = createPrivateKey({
    key: Buffer.from(signer.privateKey),
    format: 'der',
    type: 'pkcs8',
  });
  const hash = alg === 'ES384' ? 'sha384' : 'sha256';
  const input = Buffer.from(`${header}.${body}`, 'latin1');
  const signature = sign(hash, input, { key, dsaEncoding: 'ieee-p1363' });
  return { protected: header, signature: signature.toString('base64url') };
}

/**
 * The payload of a message that the publisher signed: one of its signatures is by an X509-SVID of
 * exactly that ID which the bundle verifies now. The others need not verify: who missed a bundle knows
 * only the authorities of an earlier one. Every header is held to the same rules, though.
 * @throws TrustplaneError ERR_BUNDLE_MESSAGE_SIZE, ERR_BUNDLE_MESSAGE_FORMAT, ERR_BUNDLE_MESSAGE_HEADER,
 * ERR_BUNDLE_MESSAGE_PUBLISHER, ERR_BUNDLE_MESSAGE_SIGNATURE
 */
export function openMessage(typ: MessageType, bytes: Uint8Array, trust: MessageTrust): JsonObject {
  requireSize(bytes);
  const message = readObject(bytes, 'the message', MAX_DEPTH);
  requireMembers(message, ['payload', 'signatures'], 'the message');
  const payload = message.get('payload');
  const signatures = message.get('signatures');
  if (typeof payload !== 'string') throw malformed('a text "payload"');
  const count = isArray(signatures) ? signatures.length : 0;
  if (!isArray(signatures) || count === 0 || count > messageLimits.signatures) {
    throw malformed(`1 to ${messageLimits.signatures} signatures; got ${count}`);
  }
  const read = signatures.map((signature) => readSignature(typ, payload, signature));
  requireSigned(read, trust);
  return readObject(decodePart(payload, 'payload'), 'the payload');
}

function readSignature(typ: MessageType, payload: string, value: JsonValue): ReadSignature {
  if (!(value instanceof Map)) throw malformed('signatures that are objects');
  // An unprotected header is none of them.
  requireMembers(value, ['protected', 'signature'], 'a signature');
  const [header, signature] = [value.get('protected'), value.get('signature')];
  if (typeof header !== 'string' || typeof signature !== 'string') {
    throw malformed('the texts "protected" and "signature"');
  }
  const members = readObject(decodePart(header, 'protected header'), 'the protected header');
  return {
    ...readHeader(typ, members),
    input: `${header}.${payload}`,
    signature: decodePart(signature, 'signature'),
  };
}

/** Nothing but what is signed with: no `crit`, no key or address of one beside the chain. */
function readHeader(
  typ: MessageType,
  header: JsonObject,
): Pick<ReadSignature, 'algorithm' | 'chain'> {
  const other = [...header.keys()].find((name) => !HEADERS.includes(name));
  if (other !== undefined) throw badHeader(`has the member ${quote(other)}`);
  if (header.get('typ') !== typ) throw badHeader(`has not the typ ${typ}`);
  const algorithm = header.get('alg');
  if (typeof algorithm !== 'string' || !ALGORITHMS.includes(algorithm)) {
    throw badHeader(`has none of the algorithms ${ALGORITHMS.join(', ')}`);
  }
  const x5c = header.get('x5c');
  if (!isArray(x5c) || x5c.length === 0 || x5c.length > messageLimits.certificates) {
    throw badHeader(`has no x5c of 1 to ${messageLimits.certificates} certificates`);
  }
  return { algorithm, chain: x5c.map(readCertificate) };
}

function readCertificate(value: JsonValue): Uint8Array {
  const der = typeof value === 'string' ? decodeBase64(value) : undefined;
  if (der !== undefined) return der;
  throw badHeader('has an x5c value that is not base64');
}

function requireSigned(signatures: readonly ReadSignature[], trust: MessageTrust): void {
  const faults: TrustplaneError[] = [];
  for (const signature of signatures) {
    const fault = signatureFault(signature, trust);
    if (fault === undefined) return;
    faults.push(fault);
  }
  const publisher = faults.find(({ code }) => code === 'ERR_BUNDLE_MESSAGE_PUBLISHER');
  throw publisher ?? faults[0] ?? malformed('signatures');
}

function signatureFault(
  { algorithm, chain, input, signature }: ReadSignature,
  { publisherId, bundle, now }: MessageTrust,
): TrustplaneError | undefined {
  try {
    const svid = parseX509Svid(chain);
    if (!svid.spiffeId.equals(publisherId)) {
      return refused(
        'ERR_BUNDLE_MESSAGE_PUBLISHER',
        `a message of ${publisherId.toString()} is signed by ${svid.spiffeId.toString()}`,
      );
    }
    verifyX509Svid(svid, bundle, now);
    if (isSignedWith(svid.leaf, algorithm, input, signature)) return undefined;
    return unverified('the key of its leaf did not sign it');
  } catch (cause) {
    return unverified(messageOf(cause), cause);
  }
}

function readObject(bytes: Uint8Array, what: string, maxDepth?: number): JsonObject {
  const limits = { maxBytes: messageLimits.bytes, ...(maxDepth !== undefined && { maxDepth }) };
  try {
    const value = parseJson(bytes, limits);
    if (value instanceof Map) return value;
  } catch (cause) {
    throw malformed(`${what} as JSON: ${messageOf(cause)}`, cause);
  }
  throw malformed(`${what} as a JSON object`);
}

function decodePart(part: string, what: string): Uint8Array {
  const bytes = part === '' ? undefined : decodeBase64Url(part);
  if (bytes !== undefined) return bytes;
  throw malformed(`a ${what} in base64url without padding`);
}

/** Those and no others. */
export function requireMembers(object: JsonObject, names: readonly string[], what: string): void {
  const fault =
    names.find((name) => !object.has(name)) ??
    [...object.keys()].find((name) => !names.includes(name));
  if (fault === undefined) return;
  throw malformed(`${what} with ${names.join(', ')} alone; ${quote(fault)} is not as it should be`);
}

function requireSize({ length }: Uint8Array): void {
  if (length <= messageLimits.bytes) return;
  throw refused(
    'ERR_BUNDLE_MESSAGE_SIZE',
    `a message has at most ${messageLimits.bytes} bytes; got ${length}`,
  );
}

/** `Array.isArray` does not narrow readonly arrays. */
function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** @param expected what was expected */
export function malformed(expected: string, cause?: unknown): TrustplaneError {
  return refused('ERR_BUNDLE_MESSAGE_FORMAT', `expected ${expected}`, cause);
}

function badHeader(why: string): TrustplaneError {
  return refused('ERR_BUNDLE_MESSAGE_HEADER', `a protected header ${why}`);
}

function unverified(why: string, cause?: unknown): TrustplaneError {
  return refused('ERR_BUNDLE_MESSAGE_SIGNATURE', `the signature of a message: ${why}`, cause);
}

function refused(code: ErrorCode, message: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(code, message, { cause });
}
