import type { Clock } from '../spiffe/clock.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import { JetStreamError } from './jetstream-errors.ts';
import type { HorizonKeeper } from './jetstream-follower.ts';
import type { JetStreamMarkers, Marker } from './jetstream-markers.ts';
import type { JetStreamPlace } from './jetstream-place.ts';

const EVERY_MS = 600_000;
const MAX_AT_ONCE = 256;
const NOT_THERE = 10057;

export interface MarkerPurgeOptions {
  readonly api: JetStreamApi;
  readonly place: JetStreamPlace;
  readonly clock: Clock;
  readonly markers: JetStreamMarkers;
  readonly horizon: HorizonKeeper;
}

/** Takes old delete markers out of a stream, now and then. That several servers do is harmless. */
export class MarkerPurge {
  readonly #options: MarkerPurgeOptions;
  #ranAt: number;

  constructor(options: MarkerPurgeOptions) {
    this.#options = options;
    this.#ranAt = options.clock.now();
  }

  /** The horizon goes up first, so that no watch misses a marker without being told. @throws TrustplaneError, JetStreamError, NoAnswerError */
  async run(created: string): Promise<void> {
    const { clock, markers, horizon } = this.#options;
    if (clock.now() - this.#ranAt < EVERY_MS) return;
    this.#ranAt = clock.now();
    const due = markers.due();
    if (due.length === 0) return;
    const revision = due.reduce((most, marker) => Math.max(most, marker.revision), 0);
    await horizon.raise(created, revision);
    markers.raiseHorizon(revision);
    for (let i = 0; i < due.length; i += MAX_AT_ONCE) {
      await Promise.all(due.slice(i, i + MAX_AT_ONCE).map((marker) => this.#remove(marker)));
    }
  }

  /** By its sequence: what was written to the key since is another message. */
  async #remove(marker: Marker): Promise<void> {
    const { api, place, markers } = this.#options;
    const request = { seq: marker.revision, no_erase: true };
    try {
      await api.call(`STREAM.MSG.DELETE.${place.stream}`, request);
    } catch (error) {
      if (!(error instanceof JetStreamError) || error.code !== NOT_THERE) throw error;
    }
    markers.forget(marker);
  }
}
