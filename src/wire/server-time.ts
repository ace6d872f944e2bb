import { Metadata } from '@grpc/grpc-js';

/** The trailer in which a server says what its clock showed when it answered: milliseconds since the epoch. */
const NAME = 'trustplane-time';
const MILLISECONDS = /^[0-9]{1,15}$/u;

/** `trailers` with the time in them. */
export function withServerTime(trailers: Metadata | undefined, now: number): Metadata {
  const timed = trailers?.clone() ?? new Metadata();
  timed.set(NAME, String(now));
  return timed;
}

/** What a server said; undefined where it is none that says. */
export function readServerTime(trailers: Metadata): number | undefined {
  const [value] = trailers.get(NAME);
  return typeof value === 'string' && MILLISECONDS.test(value) ? Number(value) : undefined;
}
