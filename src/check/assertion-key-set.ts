import { createPublicKey } from 'node:crypto';
import {
  decodeBase64,
  generateP256KeyPair,
  messageOf,
  parseJson,
  serializeJwks,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type AssertionKey, readPrivateKey } from './assertion-signer.ts';

/** A key that signs assertions from an instant on, until the next one does. */
export interface ScheduledKey extends AssertionKey {
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /** Milliseconds. */
  readonly signsFrom: number;
}

/** How long a key signs. */
const PERIOD_MS = 24 * 3_600_000;
/** Known to those who verify before it signs, and after it did: they may keep the set for so long. */
const OVERLAP_MS = 3_600_000;
const MAX_KEYS = 16;
const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/u;

/** Makes a P-256 key; its ID is random. */
export function makeAssertionKey(
  signsFrom: number,
  randomBytes: (count: number) => Uint8Array,
): ScheduledKey {
  const { publicKey, privateKey } = generateP256KeyPair();
  const keyId = Buffer.from(randomBytes(12)).toString('base64url');
  return { keyId, privateKey, publicKey, signsFrom };
}

/** The key that signs now: of those whose time has come the latest. */
export function signingKey(keys: readonly ScheduledKey[], now: number): ScheduledKey | undefined {
  return keys
    .filter(({ signsFrom }) => signsFrom <= now)
    .reduce<ScheduledKey | undefined>(
      (best, key) => (best === undefined || key.signsFrom > best.signsFrom ? key : best),
      undefined,
    );
}

/**
 * What becomes of the keys at `now`: without one that signs there is one at once; an hour before it has
 * signed for a day the next one is made; an hour after it was followed it is forgotten.
 */
export function advanceKeys(
  keys: readonly ScheduledKey[],
  now: number,
  make: (signsFrom: number) => ScheduledKey,
): readonly ScheduledKey[] {
  const signing = signingKey(keys, now) ?? make(now);
  // The clock may have been set back: keys of a far future are none.
  const coming = keys.filter(
    ({ signsFrom }) => signsFrom > now && signsFrom <= now + PERIOD_MS + OVERLAP_MS,
  );
  const followed = now - OVERLAP_MS < signing.signsFrom ? keys.filter(isBefore(signing)) : [];
  const isDue = coming.length === 0 && now >= signing.signsFrom + PERIOD_MS - OVERLAP_MS;
  const next = isDue ? [make(Math.max(now + OVERLAP_MS, signing.signsFrom + PERIOD_MS))] : coming;
  return [...followed, signing, ...next].slice(-MAX_KEYS);
}

function isBefore(signing: ScheduledKey): (key: ScheduledKey) => boolean {
  return (key) => key !== signing && key.signsFrom <= signing.signsFrom;
}

/** The public keys as a JWK Set (RFC 7517). */
export function assertionJwks(keys: readonly ScheduledKey[]): string {
  const jwtAuthorities = keys.map(({ keyId, publicKey }) => ({
    keyId,
    publicKey,
    expiresAt: undefined,
    tainted: false,
  }));
  return serializeJwks({ jwtAuthorities });
}

/** As they are kept in a file: JSON. */
export function serializeKeys(keys: readonly ScheduledKey[]): string {
  const records = keys.map(({ keyId, signsFrom, privateKey }) => ({
    keyId,
    signsFrom,
    privateKey: Buffer.from(privateKey).toString('base64'),
  }));
  return `${JSON.stringify({ version: 1, keys: records }, undefined, 2)}\n`;
}

/** @throws TrustplaneError ERR_ASSERTION_KEYS; no message has anything of a key in it */
export function parseKeys(text: Uint8Array | string): readonly ScheduledKey[] {
  const document = readJson(text);
  const records = document instanceof Map && document.get('version') === 1 && document.get('keys');
  if (!Array.isArray(records) || records.length > MAX_KEYS) {
    throw refused(`expected version 1 and at most ${MAX_KEYS} keys`);
  }
  return records.map(parseKey);
}

function readJson(text: Uint8Array | string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    throw refused(messageOf(error));
  }
}

function parseKey(record: unknown, at: number): ScheduledKey {
  const get = (name: string): unknown => (record instanceof Map ? record.get(name) : undefined);
  const [keyId, signsFrom, encoded] = [get('keyId'), get('signsFrom'), get('privateKey')];
  const der = typeof encoded === 'string' ? decodeBase64(encoded) : undefined;
  if (typeof keyId !== 'string' || !KEY_ID.test(keyId) || !isInstant(signsFrom) || !der) {
    throw refused(`key ${at}: expected keyId, signsFrom and privateKey`);
  }
  const key = readPrivateKey(der);
  const publicKey = new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }));
  return { keyId, signsFrom, privateKey: new Uint8Array(der), publicKey };
}

function isInstant(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_ASSERTION_KEYS', `the keys that sign assertions: ${why}`);
}
