import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node';
import { type Clock, type Timer } from '../spiffe/clock.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import { NoAnswerError } from './jetstream-errors.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import type { JetStreamMessage } from './jetstream-record.ts';

const HEARTBEAT_MS = 500;
/** Without a message or a heartbeat for so long a consumer is given up. */
const SILENCE_MS = 2_000;
/** After that the server forgets a consumer that nobody listens to. */
const INACTIVE_MS = 15_000;
const NANOS = 1_000_000;

export interface ConsumerOptions {
  readonly api: JetStreamApi;
  readonly place: JetStreamPlace;
  /** Messages after this sequence. */
  readonly after: number;
  readonly filter?: string;
  /** Leaves values out. */
  readonly isHeadersOnly?: boolean;
}

/** One that comes by itself; `pending` more are there at the moment. */
export type TakeMessage = (message: JetStreamMessage, pending: number) => void;

/** What a consumer is asked to be. Its own state is nowhere but in the memory of one server: it is easily made anew. */
export async function createConsumer(
  { api, place, after, filter, isHeadersOnly = false }: ConsumerOptions,
  delivery: object,
): Promise<{ readonly name: string; delete(): void }> {
  const name = createInbox('tp').slice('tp.'.length);
  await api.call(`CONSUMER.CREATE.${place.stream}.${name}`, {
    stream_name: place.stream,
    action: 'create',
    config: {
      name,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: after + 1,
      ack_policy: 'none',
      replay_policy: 'instant',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: INACTIVE_MS * NANOS,
      filter_subject: filter ?? place.subjects,
      headers_only: isHeadersOnly,
      ...delivery,
    },
  });
  return {
    name,
    // Whether it arrives does not matter: the server forgets it in any case.
    delete: () => void api.call(`CONSUMER.DELETE.${place.stream}.${name}`).catch(() => {}),
  };
}

/** The messages after a sequence, pushed as they are written, in order and without a gap, until it breaks. */
export class PushConsumer {
  readonly #api: JetStreamApi;
  readonly #clock: Clock;
  readonly #take: TakeMessage;
  readonly #onBroken: (reason: string) => void;
  #subscription: Subscription | undefined;
  #consumer: { delete(): void } | undefined;
  #order = new DeliveryOrder();
  #wasHeard = true;
  #timer: Timer | undefined;

  private constructor(
    api: JetStreamApi,
    clock: Clock,
    take: TakeMessage,
    onBroken: (reason: string) => void,
  ) {
    this.#api = api;
    this.#clock = clock;
    this.#take = take;
    this.#onBroken = onBroken;
  }

  /** `onBroken` is called at most once, and after it nothing more. */
  static async open(
    options: ConsumerOptions & { readonly clock: Clock },
    take: TakeMessage,
    onBroken: (reason: string) => void,
  ): Promise<PushConsumer> {
    const consumer = new PushConsumer(options.api, options.clock, take, onBroken);
    const inbox = createInbox();
    consumer.#listen(inbox);
    try {
      consumer.#consumer = await createConsumer(options, {
        deliver_subject: inbox,
        flow_control: true,
        idle_heartbeat: HEARTBEAT_MS * NANOS,
      });
    } catch (error) {
      consumer.close();
      throw error;
    }
    if (consumer.#subscription === undefined) consumer.#consumer.delete();
    else consumer.#expect();
    return consumer;
  }

  close(): void {
    this.#timer?.cancel();
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.#consumer?.delete();
  }

  #listen(inbox: string): void {
    this.#subscription = this.#api.connection.subscribe(inbox, {
      callback: (error, message) => {
        if (this.#subscription === undefined) return;
        try {
          if (error !== null) throw error;
          this.#receive(message);
        } catch (fault) {
          this.#break(fault instanceof Error ? fault.message : String(fault));
        }
      },
    });
  }

  #receive(message: Msg): void {
    this.#wasHeard = true;
    if (message.headers?.code === 100) {
      // Flow control is answered, and a heartbeat that waits for such an answer names where to.
      if (message.reply !== undefined && message.reply !== '') message.respond();
      const stalled = message.headers.get('Nats-Consumer-Stalled');
      if (stalled !== '') this.#api.connection.publish(stalled);
      this.#order.checkHeartbeat(message.headers.get('Nats-Last-Consumer'));
      return;
    }
    const { revision, pending } = this.#order.next(message.reply);
    const { subject, headers, data } = message;
    this.#take({ subject, headers, revision, data: data.slice() }, pending);
  }

  #expect(): void {
    this.#timer = this.#clock.setTimer(SILENCE_MS, () => {
      if (!this.#wasHeard) return this.#break(`nothing was heard for ${SILENCE_MS} ms`);
      this.#wasHeard = false;
      this.#expect();
    });
  }

  #break(reason: string): void {
    if (this.#subscription === undefined) return;
    this.close();
    this.#onBroken(reason);
  }
}

/** Where a message came from and whether one is missing before it. */
export class DeliveryOrder {
  #last = 0;

  /** @param reply of a delivered message: `$JS.ACK.[domain.account.]stream.consumer.n.stream seq.consumer seq.time.pending[.random]` */
  next(reply: string | undefined): { readonly revision: number; readonly pending: number } {
    const tokens = (reply ?? '').split('.');
    const first = tokens.length > 9 ? 7 : 5;
    const [revision = Number.NaN, order = Number.NaN, , pending = Number.NaN] = tokens
      .slice(first, first + 4)
      .map(Number);
    if (!Number.isSafeInteger(revision) || !Number.isSafeInteger(pending)) {
      throw new Error(`a message came with the reply subject ${JSON.stringify(reply)}`);
    }
    if (order !== this.#last + 1) {
      throw new NoAnswerError(`message ${order} came after message ${this.#last}`, false);
    }
    this.#last = order;
    return { revision, pending };
  }

  checkHeartbeat(last: string): void {
    if (last !== '' && Number(last) > this.#last) {
      throw new NoAnswerError('the last messages went missing', false);
    }
  }
}
