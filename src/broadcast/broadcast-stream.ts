import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../ops/index.ts';
import { messageOf } from '../spiffe/index.ts';
import type { BroadcastLink } from './broadcast-link.ts';
import { messageLimits } from './signed-message.ts';
import { allSubjects } from './subjects.ts';

/** The stream that holds the last message of each subject, for those who come later (design D5). */
export const STREAM = 'TRUSTPLANE_BUNDLES';

const REQUEST_MS = 2_000;
const DAY_NS = 86_400_000_000_000;
/** In a cluster it outlives one of its servers. */
const REPLICAS = 3;

const wanted = {
  name: STREAM,
  subjects: [allSubjects],
  retention: 'limits',
  storage: 'file',
  discard: 'old',
  max_msgs_per_subject: 1,
  max_msg_size: messageLimits.bytes,
  max_bytes: 256 * messageLimits.bytes,
  // What nobody renews is of nobody any more.
  max_age: 7 * DAY_NS,
  allow_direct: true,
} satisfies Partial<StreamConfig>;

/** The stream as this process finds it; without it live messages come all the same. */
export class BroadcastStream {
  readonly #link: BroadcastLink;
  readonly #log: Log;
  #fault: string | undefined = 'not looked for yet';

  constructor(link: BroadcastLink, log: Log) {
    this.#link = link;
    this.#log = log;
  }

  /** Why there is none to rely on; undefined: there is. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Makes the stream where there is JetStream and no stream yet. Never throws; see `fault`. */
  async ensure(): Promise<void> {
    const { connection } = this.#link;
    if (connection === undefined) return;
    const before = this.#fault;
    try {
      this.#fault = await this.#look(connection);
    } catch (error) {
      this.#fault = messageOf(error);
    }
    if (this.#fault === before) return;
    if (this.#fault === undefined)
      this.#log.info({ stream: STREAM }, 'late readers get bundles from a stream');
    else
      this.#log.warn(
        { stream: STREAM, fault: this.#fault },
        'no stream of bundles for late readers',
      );
  }

  /**
   * The last message of a subject; undefined when there is none, or no stream.
   * @throws Error when nobody answered in time
   */
  async latest(subject: string): Promise<Uint8Array | undefined> {
    const { connection, isConnected } = this.#link;
    if (connection === undefined || !isConnected) return undefined;
    try {
      const place = `$JS.API.DIRECT.GET.${STREAM}.${subject}`;
      const { data, headers } = await connection.request(place, undefined, { timeout: REQUEST_MS });
      return headers === undefined || headers.code !== 0 ? undefined : data;
    } catch (error) {
      if (hasNoResponders(error)) return undefined;
      throw error;
    }
  }

  async #look(connection: NatsConnection): Promise<string | undefined> {
    // Loaded when it is wanted: most processes broadcast nothing.
    const { jetstreamManager } = await import('@nats-io/jetstream');
    const manager = await jetstreamManager(connection, { timeout: REQUEST_MS, checkAPI: false });
    const config = await manager.streams.info(STREAM).then(
      (info) => info.config,
      async () => (await add(manager, connection)).config,
    );
    if (!config.subjects.includes(allSubjects)) return `it does not take ${allSubjects}`;
    if (config.max_msgs_per_subject !== 1) return 'it keeps more than one message of a subject';
    return config.allow_direct ? undefined : 'it does not answer direct requests';
  }
}

async function add({ streams }: JetStreamManager, connection: NatsConnection) {
  if (connection.info?.cluster === undefined) return await streams.add(wanted);
  // A cluster of fewer servers, or one of which too many are down.
  return await streams.add({ ...wanted, num_replicas: REPLICAS }).catch(() => streams.add(wanted));
}

/** There is no JetStream, or no such stream. */
function hasNoResponders(error: unknown): boolean {
  return (
    error instanceof Error && error.cause instanceof Error && error.cause.name === 'NoResponders'
  );
}
