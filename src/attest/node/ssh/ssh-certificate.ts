import { createHash } from 'node:crypto';
import { otherNumber } from '../other-signature.ts';
import {
  ecCurves,
  isSshKeyType,
  parseSshPublicKey,
  readSshPublicKey,
  type SshPublicKey,
} from './ssh-public-key.ts';
import { SshReader, sshPositive, sshString } from './ssh-reader.ts';
import type { SshSignature } from './ssh-signature.ts';

/** An OpenSSH certificate, as it was sent; to be relied on once its signature is verified. */
export interface SshCertificate {
  /** Of all its bytes: SHA-256, base64url. */
  readonly fingerprint: string;
  readonly publicKey: SshPublicKey;
  readonly serial: bigint;
  readonly kind: 'user' | 'host';
  readonly keyId: string;
  readonly principals: readonly string[];
  /** Seconds since the epoch. */
  readonly validAfter: bigint;
  /** Seconds since the epoch, exclusive; 2^64 - 1 is for ever. */
  readonly validBefore: bigint;
  readonly criticalOptions: readonly string[];
  readonly signatureKey: SshPublicKey;
  /** SHA-256 of the authority's key, base64url. */
  readonly signatureKeyFingerprint: string;
  readonly signature: SshSignature;
  /** What the signature is over. */
  readonly signed: Uint8Array;
}

const MAX_BYTES = 16_384;
const MAX_LIST_BYTES = 8_192;
const MAX_PRINCIPALS = 64;
const MAX_NAME_BYTES = 255;
const MAX_OPTIONS = 32;
const NONCE_BYTES = { min: 16, max: 64 } as const;
const SUFFIX = '-cert-v01@openssh.com';
const KINDS = new Map<number, 'user' | 'host'>([
  [1, 'user'],
  [2, 'host'],
]);

/**
 * Parses a certificate as OpenSSH's PROTOCOL.certkeys has it (version 01): at most 16 KiB, 64 principals;
 * options in order, each once; nothing after its end.
 * @throws Error
 */
export function parseSshCertificate(bytes: Uint8Array): SshCertificate {
  if (bytes.length > MAX_BYTES)
    throw new Error(`the certificate has ${bytes.length} bytes; at most ${MAX_BYTES} are read`);
  const reader = new SshReader(bytes, 'the certificate');
  const type = reader.text('its type', 64);
  const keyType = type.endsWith(SUFFIX) ? type.slice(0, -SUFFIX.length) : '';
  if (!isSshKeyType(keyType))
    throw new Error(`it is no certificate of a known kind: ${JSON.stringify(type)}`);
  const nonce = reader.string('its nonce', NONCE_BYTES.max);
  if (nonce.length < NONCE_BYTES.min)
    throw reader.malformed(`its nonce has ${nonce.length} bytes; expected ${NONCE_BYTES.min}`);
  const publicKey = readSshPublicKey(reader, keyType, 'the key of the certificate');
  const serial = reader.uint64('its serial number');
  const kindNumber = reader.uint32('its kind');
  const kind = KINDS.get(kindNumber);
  if (kind === undefined) throw reader.malformed(`its kind is ${kindNumber}`);
  const keyId = reader.text('its key ID', MAX_NAME_BYTES);
  const principals = parsePrincipals(reader.string('its principals', MAX_LIST_BYTES));
  const validAfter = reader.uint64('its first instant');
  const validBefore = reader.uint64('its last instant');
  const criticalOptions = parseOptions(reader.string('its critical options', MAX_LIST_BYTES));
  parseOptions(reader.string('its extensions', MAX_LIST_BYTES));
  reader.string('what is reserved', 0);
  const authority = reader.string('the key of its authority', MAX_LIST_BYTES);
  const signed = bytes.subarray(0, reader.offset);
  const signature = parseSignature(reader.string('its signature', MAX_LIST_BYTES));
  reader.finish();
  return {
    fingerprint: fingerprintOf(bytes),
    publicKey,
    serial,
    kind,
    keyId,
    principals,
    validAfter,
    validBefore,
    criticalOptions,
    signatureKey: parseSshPublicKey(authority, 'the key of its authority'),
    signatureKeyFingerprint: fingerprintOf(authority),
    signature,
    signed,
  };
}

/** Of the other form that a verified certificate has where its authority signs with ECDSA. */
export function otherFingerprint({
  signatureKey: { type },
  signature,
  signed,
}: Pick<SshCertificate, 'signatureKey' | 'signature' | 'signed'>): string | undefined {
  if (type === 'ssh-ed25519' || type === 'ssh-rsa') return undefined;
  const { crv, bytes } = ecCurves[type];
  const reader = new SshReader(signature.blob, 'a signature');
  const r = reader.positive('r', bytes);
  const other = otherNumber(reader.positive('s', bytes), crv);
  const blob = Buffer.concat([sshPositive(r), sshPositive(other)]);
  const written = Buffer.concat([sshString(signature.format), sshString(blob)]);
  return fingerprintOf(Buffer.concat([signed, sshString(written)]));
}

/** SHA-256, base64url; as SPIRE names hosts by their certificates. */
export function fingerprintOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}

function parsePrincipals(bytes: Uint8Array): string[] {
  const reader = new SshReader(bytes, 'the list of principals');
  const principals: string[] = [];
  while (!reader.isAtEnd) {
    const principal = reader.text('a principal', MAX_NAME_BYTES);
    if (principal === '') throw reader.malformed('a principal is empty');
    if (principals.push(principal) > MAX_PRINCIPALS)
      throw reader.malformed(`it has over ${MAX_PRINCIPALS}`);
  }
  return principals;
}

/** The names of options. */
function parseOptions(bytes: Uint8Array): string[] {
  const reader = new SshReader(bytes, 'a list of options');
  const names: string[] = [];
  while (!reader.isAtEnd) {
    const name = reader.text('the name of an option', MAX_NAME_BYTES);
    reader.string('an option', MAX_LIST_BYTES);
    if (name <= (names.at(-1) ?? '')) throw reader.malformed('it is not in order, each once');
    if (names.push(name) > MAX_OPTIONS) throw reader.malformed(`it has over ${MAX_OPTIONS}`);
  }
  return names;
}

function parseSignature(bytes: Uint8Array): SshSignature {
  const reader = new SshReader(bytes, 'the signature of the certificate');
  const format = reader.text('its kind', 64);
  const blob = reader.string('its value', MAX_LIST_BYTES);
  reader.finish();
  return { format, blob };
}
