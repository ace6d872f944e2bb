/** Thrown when a request asks for more work than it may. */
export class EffortSpent extends Error {}

/**
 * What deciding one request may cost, in steps of about a nanosecond: Envoy waits for 200 ms, and everybody
 * else waits for this one. What is spent depends on the policies and the request alone, never on what
 * was decided before.
 */
export class Effort {
  #left: number;

  /** `steps`: infinite where nobody waits. */
  constructor(steps: number = MAX_STEPS) {
    this.#left = steps;
  }

  /** @throws EffortSpent */
  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new EffortSpent();
  }
}

const MAX_STEPS = 32_000_000;

/** Steps to compare a value with something. */
export const steps = {
  /** A text; the rest is seen at a glance. */
  exact: 8,
  /** A pattern, and for each character of the value one more; `perCharacter` of them where the pattern is long. */
  pattern: 32,
  longPattern: 32,
  perCharacter: 8,
  /** A rule, and for each octet of its record `perOctet` more, since it may have to be decoded. */
  rule: 100,
  perOctet: 8,
  /** A service. */
  service: 200,
  /** A way in which captures agree, or a header that is written. */
  way: 200,
  /** A header that only rules write, with up to 64 spellings. */
  ownedHeader: 5_000,
} as const;
