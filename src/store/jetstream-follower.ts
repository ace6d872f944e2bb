import type { Log } from '../ops/log.ts';
import { pause } from '../ops/pause.ts';
import type { Clock, Timer } from '../spiffe/clock.ts';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import { ChangeFeed, type ReadChanges } from './change-feed.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import { jetStreamError } from './jetstream-errors.ts';
import type { JetStreamMarkers } from './jetstream-markers.ts';
import { withPatience } from './jetstream-patience.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import { lastMessageOf, readMessages, type StreamState, streamState } from './jetstream-reader.ts';
import { type JetStreamRecord, readHeaders } from './jetstream-record.ts';
import { JetStreamTail } from './jetstream-tail.ts';
import type { WrittenChange } from './jetstream-writer.ts';
import { closedError } from './store-rules.ts';

const ROUND_MS = 2_000;
/** The leader has to say in so many rounds that it has less than was seen: a new one may not have caught up. */
const ROUNDS_TO_BELIEVE = 3;
const ROUNDS_TO_COMPLAIN = 2;

/** How far back the watches of a bucket reach, kept where every server reads it. */
export interface HorizonKeeper {
  /** Of the stream that was created then. @throws TrustplaneError ERR_STORE_* */
  read(created: string): Promise<number>;
  /** @throws TrustplaneError ERR_STORE_* */
  raise(created: string, revision: number): Promise<void>;
}

export interface JetStreamFollowerOptions {
  readonly api: JetStreamApi;
  readonly place: JetStreamPlace;
  readonly clock: Clock;
  readonly log: Log;
  readonly markers: JetStreamMarkers;
  readonly horizon: HorizonKeeper;
  readonly readChanges: ReadChanges;
  /** Each time the leader has said how the stream is. */
  readonly onRound: (state: StreamState) => Promise<void>;
  /** Told what is wrong with the stream, and (undefined) when it is well again. */
  readonly onHealth: (fault: string | undefined) => void;
}

/** Follows one stream: feeds the watchers of its bucket, and asks its leader every two seconds whether that is all. */
export class JetStreamFollower {
  readonly #options: JetStreamFollowerOptions;
  #feed: ChangeFeed;
  #tail: JetStreamTail | undefined;
  #created = '';
  #revision = 0;
  #isClosed = false;
  #timer: Timer | undefined;
  #rounds = { failed: 0, low: 0, lateAt: -1 };

  constructor(options: JetStreamFollowerOptions) {
    this.#options = options;
    this.#feed = new ChangeFeed(options.readChanges);
  }

  /** That goes on until a break; watches after it are on another one. */
  get feed(): ChangeFeed {
    return this.#feed;
  }

  /** The highest that was seen. */
  get revision(): number {
    return this.#revision;
  }

  /** Tells the stream from another of its name. */
  get created(): string {
    return this.#created;
  }

  /** @throws TrustplaneError ERR_STORE_* */
  async open(): Promise<void> {
    const { clock, place } = this.#options;
    await withPatience(clock, `the stream ${place.stream}`, async () => await this.#begin());
    this.#schedule();
  }

  /** Takes in a change of our own. @param above the highest revision that was seen before it was sent */
  written(change: WrittenChange, above: number): void {
    this.#options.markers.note(change);
    const { revision } = change.event;
    if (revision <= above) this.#lose(`it wrote ${revision} although it had been at ${above}`);
    else this.#revision = Math.max(this.#revision, revision);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#tail?.close();
    this.#feed.fail(closedError());
  }

  async #begin(): Promise<void> {
    const { api, place, clock, log, markers, horizon } = this.#options;
    const { created } = await streamState(api, place);
    markers.clear();
    const { upTo } = await readMessages(
      { api, place, clock, after: 0, isHeadersOnly: true },
      (message) => {
        const { key, deletedAt } = readHeaders(place, message);
        markers.note({ event: { type: 'delete', key, revision: message.revision }, deletedAt });
      },
    );
    markers.raiseHorizon(await horizon.read(created));
    const tail = new JetStreamTail({
      api,
      place,
      clock,
      log,
      after: upTo,
      onRecord: (record) => this.#take(record),
      onLost: (error) => this.#restart(error),
    });
    const feed = new ChangeFeed(this.#options.readChanges, upTo);
    [this.#created, this.#revision, this.#tail, this.#feed] = [created, upTo, tail, feed];
    try {
      await tail.open();
    } catch (error) {
      // Who came to watch meanwhile would wait for changes that never come.
      this.#tail = undefined;
      feed.fail(jetStreamError(`the stream ${place.stream}`, error));
      throw error;
    }
    if (this.#isClosed) this.close();
  }

  #take(record: JetStreamRecord): void {
    this.#options.markers.note(record);
    this.#revision = Math.max(this.#revision, record.event.revision);
    this.#feed.publish(record.event);
  }

  /** The stream is not what it was: what watchers know may never have been. */
  #lose(reason: string): void {
    const { log, place } = this.#options;
    log.error({ stream: place.stream, reason }, 'the stream lost changes; all of it is read again');
    this.#restart(
      new TrustplaneError(
        'ERR_STORE_COMPACTED',
        `the stream ${place.stream} lost changes: ${reason}; list again and watch from there`,
      ),
    );
  }

  /** Ends the watches, and begins anew until that succeeds. */
  #restart(error: TrustplaneError): void {
    const tail = this.#tail;
    if (tail === undefined || this.#isClosed) return;
    this.#tail = undefined;
    tail.close();
    this.#feed.fail(error);
    void this.#beginAgain();
  }

  async #beginAgain(): Promise<void> {
    const { clock, log, place } = this.#options;
    while (!this.#isClosed) {
      try {
        return await withPatience(clock, `the stream ${place.stream}`, () => this.#begin());
      } catch (error) {
        log.error({ stream: place.stream, error: messageOf(error) }, 'the stream cannot be read');
      }
      await pause(clock, ROUND_MS);
    }
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(ROUND_MS, () => {
      void this.#round().finally(() => this.#schedule());
    });
  }

  async #round(): Promise<void> {
    const { api, place, onHealth, onRound } = this.#options;
    const known = this.#revision;
    try {
      const state = await streamState(api, place);
      this.#rounds.failed = 0;
      onHealth(undefined);
      this.#judge(state, known);
      await this.#hurry(state);
      await onRound(state);
    } catch (error) {
      if (++this.#rounds.failed < ROUNDS_TO_COMPLAIN || this.#isClosed) return;
      onHealth(jetStreamError(`the stream ${place.stream}`, error).message);
    }
  }

  #judge({ created, revision }: StreamState, known: number): void {
    if (this.#tail === undefined) return;
    this.#rounds.low = revision < known ? this.#rounds.low + 1 : 0;
    if (created !== this.#created) this.#lose(`it was created anew (${created})`);
    else if (this.#rounds.low >= ROUNDS_TO_BELIEVE) {
      this.#lose(`it ends at ${revision} although it had been at ${known}`);
    }
  }

  /** A tail that was where it is in the round before, although there is more, hangs on a server that has no more. */
  async #hurry({ revision }: StreamState): Promise<void> {
    const tail = this.#tail;
    if (tail === undefined || revision <= tail.upTo) return;
    const { api, place } = this.#options;
    const isLate = this.#rounds.lateAt === tail.upTo;
    this.#rounds.lateAt = tail.upTo;
    if (isLate && (await lastMessageOf(api, place)) > tail.upTo) tail.renew('it stays behind');
  }
}
