import { pause } from '../ops/pause.ts';
import type { Clock } from '../spiffe/clock.ts';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import type { WriteBudget } from './jetstream-budget.ts';
import { isConflict, isPassing, jetStreamError, NoAnswerError } from './jetstream-errors.ts';
import type { JetStreamMarkers } from './jetstream-markers.ts';
import { beginPatience, withPatience } from './jetstream-patience.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import { fetchLast } from './jetstream-reader.ts';
import { type JetStreamRecord, readRecord, recordHeaders } from './jetstream-record.ts';
import type { StoreEvent } from './store.ts';
import { checkExpected } from './store-rules.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;
/** So many are sent before the first is answered: a stream takes no more than 10,000. */
const MAX_IN_FLIGHT = 1_024;

export interface JetStreamWriterOptions {
  readonly api: JetStreamApi;
  readonly place: JetStreamPlace;
  readonly clock: Clock;
  readonly markers: JetStreamMarkers;
  readonly budget: WriteBudget;
  readonly createId: () => string;
  /** The highest revision of the bucket that was seen; whatever is written from now on is above it. */
  readonly knownRevision: () => number;
  /** Told of each write that is in the stream. @param above what it was to be above */
  readonly onWritten: (record: WrittenChange, above: number) => void;
}

/** A change that the stream has. */
export type WrittenChange = Pick<JetStreamRecord, 'event' | 'deletedAt'>;

/** A write on its way. */
interface Write {
  readonly key: string;
  readonly value: Uint8Array;
  readonly deletedAt: number | undefined;
  readonly expected: number | undefined;
  /** The same at each attempt, by which the stream and we know it again. */
  readonly id: string;
  /** An attempt before this one may have been performed. */
  isInDoubt: boolean;
}

/** What the subject's last message must be; `nothing`: there is nothing to delete. */
type Condition = number | 'any' | 'nothing';

/**
 * Writes of one bucket. They are sent in the order in which they were asked for, many before the first is answered;
 * only those to one key wait for each other.
 */
export class JetStreamWriter {
  readonly #options: JetStreamWriterOptions;
  /** The last write to each key that has one on its way. */
  readonly #busy = new Map<string, Promise<unknown>>();
  /** Resolves when what was asked for last has been sent. */
  #sent: Promise<unknown> = Promise.resolve();
  #inFlight = 0;
  #onAnswer = (): void => {};

  constructor(options: JetStreamWriterOptions) {
    this.#options = options;
  }

  /** As `Bucket.put`, with a checked key and a value of our own. */
  async put(key: string, value: Uint8Array, expected: number | undefined): Promise<number> {
    const revision = await this.#enqueue({ key, value, expected, deletedAt: undefined });
    if (revision !== undefined) return revision;
    throw new TrustplaneError('ERR_INTERNAL', `a put of ${key} was left out`);
  }

  /** As `Bucket.delete`, with a checked key. */
  async delete(key: string, expected: number | undefined): Promise<number | undefined> {
    const deletedAt = this.#options.clock.now();
    return await this.#enqueue({ key, value: new Uint8Array(), expected, deletedAt });
  }

  /** Resolves when nothing is on its way. */
  async drain(): Promise<void> {
    while (this.#busy.size > 0) await Promise.allSettled(this.#busy.values());
  }

  async #enqueue(asked: Omit<Write, 'id' | 'isInDoubt'>): Promise<number | undefined> {
    const { budget, createId } = this.#options;
    const write = { ...asked, id: createId(), isInDoubt: false };
    const turn = this.#sent;
    const { promise: sent, resolve: passOn } = Promise.withResolvers<void>();
    const result = budget.spend(write.value.length, async () => {
      try {
        return await this.#perform(write, this.#busy.get(write.key), turn, passOn);
      } finally {
        passOn();
      }
    });
    this.#sent = turn.then(() => sent);
    this.#busy.set(write.key, result);
    try {
      return await result;
    } finally {
      if (this.#busy.get(write.key) === result) this.#busy.delete(write.key);
    }
  }

  /** @param passOn lets the next one be sent */
  async #perform(
    write: Write,
    before: Promise<unknown> | undefined,
    turn: Promise<unknown>,
    passOn: () => void,
  ): Promise<number | undefined> {
    const isOver = beginPatience(this.#options.clock);
    await before?.catch(() => {});
    let condition = await this.#conditionOf(write);
    await turn;
    while (this.#inFlight >= MAX_IN_FLIGHT) await this.#answered();
    if (isOver()) throw this.#failed(new Error('writes before it got no answer'));
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      if (condition === 'nothing') return undefined;
      const attempt = this.#publish(write, condition);
      passOn();
      try {
        return await attempt;
      } catch (error) {
        if (isConflict(error)) {
          const known = await this.#resolve(write);
          if (known.type === 'written') return known.revision;
          condition = known.condition;
        } else if (!isPassing(error)) {
          throw this.#failed(error);
        }
        if (error instanceof NoAnswerError && error.isAmbiguous) write.isInDoubt = true;
        if (isOver()) throw this.#failed(error);
      }
      await pause(this.#options.clock, pauseMs);
    }
  }

  /** What is known without asking suffices for a put; whether there is anything to delete the stream has to say. */
  async #conditionOf(write: Write): Promise<Condition> {
    const { key, expected } = write;
    const marker = this.#options.markers.revisionOf(key);
    if (expected !== undefined && expected > 0) {
      // The stream would take the revision of a delete marker for one at which the key is there.
      if (expected === marker) checkExpected(key, 0, expected);
      return expected;
    }
    if (write.deletedAt === undefined) return expected === undefined ? 'any' : marker;
    return conditionIn(write, await this.#current(key));
  }

  async #publish(write: Write, condition: number | 'any'): Promise<number> {
    const { api, place, knownRevision, onWritten } = this.#options;
    const { key, value, deletedAt } = write;
    const headers = recordHeaders(place, write, condition === 'any' ? undefined : condition);
    const known = knownRevision();
    const answer = api.publish(place.subjectOf(key), value, headers);
    const { revision, isDuplicate } = await this.#counted(answer);
    const event: StoreEvent =
      deletedAt === undefined
        ? { type: 'put', key, value, revision }
        : { type: 'delete', key, revision };
    onWritten({ event, deletedAt }, isDuplicate ? 0 : known);
    return revision;
  }

  async #counted<T>(answer: Promise<T>): Promise<T> {
    this.#inFlight++;
    try {
      return await answer;
    } finally {
      this.#inFlight--;
      this.#onAnswer();
    }
  }

  /** Only the one whose turn it is waits. */
  async #answered(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onAnswer = resolve;
    });
  }

  /** After the stream refused the condition: what to expect now. @throws TrustplaneError ERR_STORE_CONFLICT, or ERR_STORE_UNAVAILABLE in doubt */
  async #resolve(
    write: Write,
  ): Promise<
    | { readonly type: 'written'; readonly revision: number }
    | { readonly type: 'open'; readonly condition: Condition }
  > {
    const current = await this.#current(write.key);
    if (current?.id === write.id) return { type: 'written', revision: current.event.revision };
    try {
      return { type: 'open', condition: conditionIn(write, current) };
    } catch (conflict) {
      if (!write.isInDoubt) throw conflict;
      throw this.#failed(
        new Error(`an attempt was not answered, and meanwhile ${messageOf(conflict)}`),
      );
    }
  }

  async #current(key: string): Promise<JetStreamRecord | undefined> {
    const { api, place, clock, markers } = this.#options;
    const message = await withPatience(clock, this.#what, () => fetchLast(api, place, key));
    if (message === undefined) return undefined;
    const record = readRecord(place, message);
    markers.note(record);
    return record;
  }

  get #what(): string {
    return `the stream ${this.#options.place.stream}`;
  }

  #failed(error: unknown): TrustplaneError {
    return jetStreamError(this.#what, error);
  }
}

/** @throws TrustplaneError ERR_STORE_CONFLICT */
function conditionIn(write: Write, current: JetStreamRecord | undefined): Condition {
  const revision = current?.event.revision ?? 0;
  const live = current?.deletedAt === undefined ? revision : 0;
  checkExpected(write.key, live, write.expected);
  if (live === 0 && write.deletedAt !== undefined) return 'nothing';
  return write.deletedAt === undefined && write.expected === undefined ? 'any' : revision;
}
