import type { Log } from '../ops/log.ts';
import { pause } from '../ops/pause.ts';
import type { Clock } from '../spiffe/clock.ts';
import { messageOf, type TrustplaneError } from '../spiffe/errors.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import { PushConsumer } from './jetstream-consumer.ts';
import { jetStreamError } from './jetstream-errors.ts';
import { beginPatience } from './jetstream-patience.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import { type JetStreamRecord, readRecord } from './jetstream-record.ts';

const RETRY_MS = 200;

export interface JetStreamTailOptions {
  readonly api: JetStreamApi;
  readonly place: JetStreamPlace;
  readonly clock: Clock;
  readonly log: Log;
  /** Changes after this revision. */
  readonly after: number;
  readonly onRecord: (record: JetStreamRecord) => void;
  /** Called once, when it cannot go on without a gap, or no more. */
  readonly onLost: (error: TrustplaneError) => void;
}

/** Every change of a stream as it is written, in order; a consumer that breaks is made anew from where it was. */
export class JetStreamTail {
  readonly #options: JetStreamTailOptions;
  #upTo: number;
  #consumer: PushConsumer | undefined;
  #isClosed = false;

  constructor(options: JetStreamTailOptions) {
    this.#options = options;
    this.#upTo = options.after;
  }

  /** The revision of the last change. */
  get upTo(): number {
    return this.#upTo;
  }

  /** Resolves when changes come. @throws JetStreamError, NoAnswerError */
  async open(): Promise<void> {
    const { api, place, clock } = this.#options;
    const consumer = await PushConsumer.open(
      { api, place, clock, after: this.#upTo },
      (message) => {
        if (message.revision <= this.#upTo) throw new Error('a message came twice');
        const record = this.#read(message);
        if (record === undefined) return;
        this.#upTo = message.revision;
        this.#options.onRecord(record);
      },
      (reason) => void this.#reopen(reason),
    );
    if (this.#isClosed) consumer.close();
    else this.#consumer = consumer;
  }

  /** Makes the consumer anew, maybe on another server. */
  renew(reason: string): void {
    this.#consumer?.close();
    this.#consumer = undefined;
    void this.#reopen(reason);
  }

  close(): void {
    this.#isClosed = true;
    this.#consumer?.close();
  }

  #read(message: Parameters<typeof readRecord>[1]): JetStreamRecord | undefined {
    try {
      return readRecord(this.#options.place, message);
    } catch (error) {
      this.#lose(error);
      return undefined;
    }
  }

  async #reopen(reason: string): Promise<void> {
    const { clock, log, place } = this.#options;
    this.#consumer = undefined;
    const isOver = beginPatience(clock);
    while (!this.#isClosed) {
      log.info({ stream: place.stream, reason }, 'changes are followed anew');
      try {
        return await this.open();
      } catch (error) {
        if (isOver()) return this.#lose(error);
        reason = messageOf(error);
      }
      await pause(clock, RETRY_MS);
    }
  }

  #lose(error: unknown): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.onLost(jetStreamError(`the stream ${this.#options.place.stream}`, error));
  }
}
