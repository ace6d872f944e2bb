import { type JsonObject, TrustplaneError } from '../spiffe/index.ts';
import { malformed } from './signed-message.ts';

/** How far the clocks of publisher and receiver may differ. */
const SKEW_MS = 60_000;
const MAX_TEXT = 2_048;
const LAST_SECOND = 253_402_300_799;

/** An instant of milliseconds in whole seconds, as tokens tell time. */
export function seconds(instant: number): number {
  return Math.floor(instant / 1_000);
}

export function readText(payload: JsonObject, name: string): string {
  const value = payload.get(name);
  if (typeof value === 'string' && value.length <= MAX_TEXT) return value;
  throw malformed(`a text ${name} of at most ${MAX_TEXT} characters`);
}

/** Milliseconds since the epoch. */
export function readSeconds(payload: JsonObject, name: string): number {
  const value = payload.get(name);
  const isInstant = typeof value === 'number' && Number.isInteger(value);
  if (isInstant && value >= 0 && value <= LAST_SECOND) return value * 1_000;
  throw malformed(`${name} as whole seconds since 1970`);
}

/** A text: sequence numbers go beyond 2^53. */
export function readSequence(payload: JsonObject, name: string): bigint {
  const text = readText(payload, name);
  if (/^(?:0|[1-9][0-9]{0,38})$/u.test(text)) return BigInt(text);
  throw malformed(`${name} as 1 to 39 decimal digits`);
}

/** @throws TrustplaneError ERR_BUNDLE_MESSAGE_TIME */
export function checkTimes(
  { issuedAt, expiresAt }: { readonly issuedAt: number; readonly expiresAt: number },
  now: number,
): void {
  const fault =
    issuedAt > now + SKEW_MS
      ? `is of the future: ${instant(issuedAt)}`
      : expiresAt <= now
        ? `expired at ${instant(expiresAt)}`
        : undefined;
  if (fault === undefined) return;
  throw new TrustplaneError(
    'ERR_BUNDLE_MESSAGE_TIME',
    `the message ${fault}; now is ${instant(now)}`,
  );
}

function instant(time: number): string {
  return new Date(time).toISOString();
}
