import { TrustplaneError } from '../spiffe/errors.ts';

const KEY = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/u;
const PREFIX = /^[A-Za-z0-9_.-]*$/u;

/** What every store holds to. Operations beyond are refused, never queued without end. */
export const storeLimits = {
  maxKeyBytes: 512,
  /** Leaves room for headers in a NATS message of the default limit, 1 MiB. */
  maxValueBytes: 1_000_000,
  maxPendingOperations: 16_384,
  maxPendingBytes: 67_108_864,
  maxWatchersPerBucket: 1024,
  /** How long a delete marker, and with it the proof of the delete, is kept. */
  deleteMarkerMs: 86_400_000,
} as const;

export function isKey(key: string): boolean {
  return key.length <= storeLimits.maxKeyBytes && KEY.test(key);
}

/** @throws TrustplaneError ERR_STORE_KEY */
export function checkKey(key: string): void {
  if (isKey(key)) return;
  throw keyError('key', key, 'tokens of A-Z, a-z, 0-9, "_" and "-", joined by "."');
}

/** @throws TrustplaneError ERR_STORE_KEY */
export function checkPrefix(prefix: string): void {
  if (prefix.length <= storeLimits.maxKeyBytes && PREFIX.test(prefix)) return;
  throw keyError('prefix', prefix, 'characters of keys or nothing');
}

/** @throws TrustplaneError ERR_STORE_VALUE_TOO_LARGE */
export function checkValue(key: string, value: Uint8Array): void {
  if (value.length <= storeLimits.maxValueBytes) return;
  throw new TrustplaneError(
    'ERR_STORE_VALUE_TOO_LARGE',
    `the value of ${key} has ${value.length} bytes; at most ${storeLimits.maxValueBytes} are allowed`,
  );
}

/**
 * Decides whether a key at revision `current` (0: not there) may change.
 * @throws TrustplaneError ERR_STORE_CONFLICT
 */
export function checkExpected(key: string, current: number, expected: number | undefined): void {
  if (expected === undefined || expected === current) return;
  throw new TrustplaneError(
    'ERR_STORE_CONFLICT',
    `${key} must ${expected === 0 ? 'not exist' : `be at revision ${expected}`}, but ${
      current === 0 ? 'does not exist' : `is at revision ${current}`
    }`,
  );
}

/**
 * Decides whether a watch may go on from revision `after` of a bucket that is at `revision` and has
 * forgotten deletes up to `horizon`.
 * @throws TrustplaneError ERR_STORE_COMPACTED
 */
export function checkReplayable(after: number, horizon: number, revision: number): void {
  if (after >= horizon && after <= revision) return;
  throw new TrustplaneError(
    'ERR_STORE_COMPACTED',
    `changes after revision ${after} are not known (known: from ${horizon}, now at ${revision}); list again and watch from there`,
  );
}

/** What a store answers after `close`. */
export function closedError(): TrustplaneError {
  return new TrustplaneError('ERR_STORE_UNAVAILABLE', 'the store is closed');
}

function keyError(what: string, text: string, expected: string): TrustplaneError {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  return new TrustplaneError(
    'ERR_STORE_KEY',
    `the ${what} ${shown} must be ${expected}, at most ${storeLimits.maxKeyBytes} bytes`,
  );
}
