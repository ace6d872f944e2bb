import { createInbox, type Msg } from '@nats-io/transport-node';
import { pause } from '../ops/pause.ts';
import type { Clock } from '../spiffe/clock.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import { type ConsumerOptions, createConsumer, DeliveryOrder } from './jetstream-consumer.ts';
import { JetStreamError, NO_MESSAGE, NoAnswerError } from './jetstream-errors.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import { type JetStreamMessage, messageOf } from './jetstream-record.ts';

const BATCH = 8_192;
const BATCH_BYTES = 16 * 1024 * 1024;
/** Without a message for so long a read is given up. */
const SILENCE_MS = 3_000;
const LAG_PAUSE_MS = 50;
/** A replica that is behind for longer is left for another one. */
const MAX_LAG_MS = 3_000;

export interface ReadOptions extends ConsumerOptions {
  readonly clock: Clock;
  /** Reads no more messages than about so many; default: all. */
  readonly maxMessages?: number;
  readonly maxBytes?: number;
}

/** How far a read came. */
export interface ReadEnd {
  /** What was taken is the latest of each subject up to here. */
  readonly upTo: number;
  /** Nothing more was there at an instant during the read. */
  readonly isLast: boolean;
}

/**
 * Hands on the latest message of each subject after a sequence, in order; one that is overwritten meanwhile may come
 * again. A replica other than the leader may answer; therefore the leader says how far it has to have come.
 * @throws JetStreamError, NoAnswerError, whatever `take` throws
 */
export async function readMessages(
  options: ReadOptions,
  take: (message: JetStreamMessage) => void,
): Promise<ReadEnd> {
  const { api, place, after, filter = place.subjects, maxMessages = Infinity } = options;
  const revision = (await streamState(api, place)).revision;
  if (revision <= after) return { upTo: revision, isLast: true };
  let target = await lastMessageOf(api, place, filter);
  if (target <= after) return { upTo: revision, isLast: true };
  const consumer = await createConsumer(options, {});
  let last = after;
  let taken = 0;
  let bytes = 0;
  let pending = 1;
  try {
    const pull = new Pull(api, place, consumer.name, (message, more) => {
      take(message);
      [last, pending] = [message.revision, more];
      taken++;
      bytes += message.data.length;
    });
    for (let lagMs = 0; last < target || pending > 0; ) {
      if (taken >= maxMessages || bytes >= (options.maxBytes ?? Infinity)) {
        return { upTo: last, isLast: false };
      }
      if ((await pull.next(Math.min(BATCH, maxMessages))) > 0) continue;
      if (lagMs >= MAX_LAG_MS) throw new NoAnswerError('a replica stays behind', false);
      await pause(options.clock, LAG_PAUSE_MS);
      lagMs += LAG_PAUSE_MS;
      // What was last may have been deleted, with nothing behind it.
      target = await lastMessageOf(api, place, filter);
      if (last >= target) pending = 0;
    }
    return { upTo: Math.max(last, revision), isLast: true };
  } finally {
    consumer.delete();
  }
}

/** What the leader of a stream says of it. */
export interface StreamState {
  /** Of its last message, there or not. */
  readonly revision: number;
  /** Tells it from a stream of the same name. */
  readonly created: string;
  readonly messages: number;
}

/** @throws JetStreamError, NoAnswerError */
export async function streamState(api: JetStreamApi, place: JetStreamPlace): Promise<StreamState> {
  const info = await api.call(`STREAM.INFO.${place.stream}`);
  const state = info.in('state');
  const [revision, messages] = [state.number('last_seq'), state.number('messages')];
  return { revision, messages, created: info.text('created') };
}

/**
 * The last message of a key as the leader has it. A message that rotted on its disk it calls none: what its index
 * says of the key is asked then too.
 * @throws JetStreamError, NoAnswerError
 */
export async function fetchLast(
  api: JetStreamApi,
  place: JetStreamPlace,
  key: string,
): Promise<JetStreamMessage | undefined> {
  const subject = place.subjectOf(key);
  const message = await lastOf(api, place, subject);
  if (message !== undefined) return message;
  const info = await api.call(`STREAM.INFO.${place.stream}`, { subjects_filter: subject });
  if (info.in('state').in('subjects').get(subject) === undefined) return undefined;
  const leader = String(info.in('cluster').get('leader'));
  throw new NoAnswerError(`the nats-server ${leader} cannot read its record ${key}`, false);
}

async function lastOf(
  api: JetStreamApi,
  place: JetStreamPlace,
  subject: string,
): Promise<JetStreamMessage | undefined> {
  try {
    return messageOf(await api.call(`STREAM.MSG.GET.${place.stream}`, { last_by_subj: subject }));
  } catch (error) {
    if (error instanceof JetStreamError && error.code === NO_MESSAGE) return undefined;
    throw error;
  }
}

/** The sequence of the last message that is there; 0 where none is. */
export async function lastMessageOf(
  api: JetStreamApi,
  place: JetStreamPlace,
  filter: string = place.subjects,
): Promise<number> {
  return (await lastOf(api, place, filter))?.revision ?? 0;
}

/** Asks a consumer for what it has, one batch after the other. */
class Pull {
  readonly #api: JetStreamApi;
  readonly #subject: string;
  readonly #take: (message: JetStreamMessage, pending: number) => void;
  readonly #order = new DeliveryOrder();

  constructor(
    api: JetStreamApi,
    place: JetStreamPlace,
    consumer: string,
    take: (message: JetStreamMessage, pending: number) => void,
  ) {
    this.#api = api;
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${place.stream}.${consumer}`;
    this.#take = take;
  }

  /** Returns how many came. */
  async next(batch: number): Promise<number> {
    const inbox = createInbox();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    let count = 0;
    const subscription = this.#api.connection.subscribe(inbox, {
      callback: (error, message) => {
        try {
          if (error !== null) throw error;
          if (isStatus(message)) return resolve(count);
          this.#accept(message);
          if (++count === batch) resolve(count);
        } catch (fault) {
          reject(fault);
        }
      },
    });
    let known = -1;
    const timer = setInterval(() => {
      if (known === count) reject(new NoAnswerError('a read got no further', false));
      known = count;
    }, SILENCE_MS);
    try {
      const request = { batch, max_bytes: BATCH_BYTES, no_wait: true };
      this.#api.connection.publish(this.#subject, JSON.stringify(request), { reply: inbox });
      return await promise;
    } finally {
      clearInterval(timer);
      subscription.unsubscribe();
    }
  }

  #accept(message: Msg): void {
    const { subject, headers, data } = message;
    const { revision, pending } = this.#order.next(message.reply);
    this.#take({ subject, headers, revision, data }, pending);
  }
}

/** That there is no more, or that the batch is as large as was asked for. */
function isStatus({ headers, data }: Msg): boolean {
  const code = headers?.code ?? 0;
  if (code === 503) throw new NoAnswerError('the consumer is gone', false);
  if (code === 409 && headers?.description.includes('Consumer') === true) {
    throw new NoAnswerError(`the consumer is gone (${headers.description})`, false);
  }
  return code >= 400 && data.length === 0;
}
