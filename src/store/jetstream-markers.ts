import type { Clock } from '../spiffe/clock.ts';
import type { JetStreamRecord } from './jetstream-record.ts';
import { storeLimits } from './store-rules.ts';

/** The delete marker of a key. */
export interface Marker {
  readonly key: string;
  readonly revision: number;
  readonly deletedAt: number;
}

/** A marker goes this much later than it counts for nothing, so that a server whose clock is behind still knows. */
const MARGIN_MS = 600_000;

/**
 * The delete markers of a bucket as far as they are known here: a hint for writes, which the stream decides, and how
 * far back a watch can begin.
 */
export class JetStreamMarkers {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Marker>();
  #horizon = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes in a change, in any order of revisions. */
  note({
    event: { key, revision },
    deletedAt,
  }: Pick<JetStreamRecord, 'event' | 'deletedAt'>): void {
    if ((this.#byKey.get(key)?.revision ?? 0) >= revision) return;
    this.#byKey.delete(key);
    if (deletedAt !== undefined) this.#byKey.set(key, { key, revision, deletedAt });
  }

  /** The revision of a key's marker; 0 when none is known. */
  revisionOf(key: string): number {
    return this.#byKey.get(key)?.revision ?? 0;
  }

  /** Deletes up to here are forgotten, or may be. */
  get horizon(): number {
    const limit = this.#clock.now() - storeLimits.deleteMarkerMs;
    for (const { revision, deletedAt } of this.#byKey.values()) {
      if (deletedAt <= limit) this.#horizon = Math.max(this.#horizon, revision);
    }
    return this.#horizon;
  }

  raiseHorizon(revision: number): void {
    this.#horizon = Math.max(this.#horizon, revision);
  }

  /** Those that may go from the stream. */
  due(): Marker[] {
    const limit = this.#clock.now() - storeLimits.deleteMarkerMs - MARGIN_MS;
    return [...this.#byKey.values()].filter(({ deletedAt }) => deletedAt <= limit);
  }

  forget({ key, revision }: Marker): void {
    if (this.#byKey.get(key)?.revision === revision) this.#byKey.delete(key);
  }

  /** Everything, as when the stream is another one. */
  clear(): void {
    this.#byKey.clear();
    this.#horizon = 0;
  }
}
