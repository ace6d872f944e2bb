import type { Clock } from '../spiffe/index.ts';

const SHUNNED_FOR_MS = 60_000;
/** The longest shunned makes room for the newest. */
const MAX_NETWORKS = 10_000;

/** Source networks that are not served for a minute, since they burn CPU. */
export class ShunnedNetworks {
  readonly #clock: Clock;
  /** Until when, oldest first. */
  readonly #until = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(network: string): void {
    this.#until.delete(network);
    const [oldest] = this.#until.keys();
    if (oldest !== undefined && this.#until.size >= MAX_NETWORKS) this.#until.delete(oldest);
    this.#until.set(network, this.#clock.now() + SHUNNED_FOR_MS);
  }

  has(network: string): boolean {
    const until = this.#until.get(network);
    if (until === undefined) return false;
    const left = until - this.#clock.now();
    if (left > 0 && left <= SHUNNED_FOR_MS) return true;
    this.#until.delete(network);
    return false;
  }
}
