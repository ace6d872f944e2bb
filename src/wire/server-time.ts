import { Metadata } from '@grpc/grpc-js';

/** The trailer in which a server says what its clock showed when it answered: milliseconds since the epoch. */
const NAME = 'trustplane-time';
const MILLISECONDS = /^[0-9]{1,15}$/u;

/** What a clock shows, for many answers of the same millisecond. */
export class ServerTime {
  readonly #now: () => number;
  #at = Number.NaN;
  #trailers = new Metadata();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** `trailers` with the time in them; nobody may change them. */
  within(trailers: Metadata | undefined): Metadata {
    const now = this.#now();
    if (trailers !== undefined) return timed(trailers.clone(), now);
    if (now !== this.#at) {
      this.#at = now;
      this.#trailers = timed(new Metadata(), now);
    }
    return this.#trailers;
  }
}

function timed(trailers: Metadata, now: number): Metadata {
  trailers.set(NAME, String(now));
  return trailers;
}

/** What a server said; undefined where it is none that says. */
export function readServerTime(trailers: Metadata): number | undefined {
  const [value] = trailers.get(NAME);
  return typeof value === 'string' && MILLISECONDS.test(value) ? Number(value) : undefined;
}
