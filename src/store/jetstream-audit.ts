import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import type { Clock, Timer } from '../spiffe/clock.ts';
import type { JetStreamAnswer, JetStreamApi } from './jetstream-api.ts';
import { askServers } from './jetstream-servers.ts';

const EVERY_MS = 20_000;
const SUSPICIOUS_MS = 1_000;
/** So many times in a row, since copies differ for a moment while they are written. */
const TIMES_TO_BELIEVE = 3;

/** What one server has of a stream. */
export interface ReplicaState {
  readonly stream: string;
  readonly server: string;
  readonly isLeader: boolean;
  readonly revision: number;
  readonly messages: number;
}

/** A copy that has fewer records than another one at the same revision. */
export interface ShortReplica extends ReplicaState {
  /** One that has the most. */
  readonly fuller: string;
  readonly lost: number;
}

/** The copies that lost records. */
export function findShort(replicas: readonly ReplicaState[]): ShortReplica[] {
  const fullest = new Map<string, ReplicaState>();
  const placeOf = ({ stream, revision }: ReplicaState): string => `${stream} ${revision}`;
  for (const replica of replicas) {
    const most = fullest.get(placeOf(replica))?.messages ?? -1;
    if (replica.messages > most) fullest.set(placeOf(replica), replica);
  }
  return replicas.flatMap((replica) => {
    const { server = '', messages = 0 } = fullest.get(placeOf(replica)) ?? {};
    const lost = messages - replica.messages;
    return lost === 0 ? [] : [{ ...replica, fuller: server, lost }];
  });
}

export interface ReplicaAuditOptions {
  readonly api: JetStreamApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics | undefined;
  readonly monitoringUrls: readonly string[];
  readonly streams: ReadonlySet<string>;
  readonly servers: ReadonlySet<string>;
}

/**
 * Compares the copies of the streams now and then. JetStream itself does not: a server whose files lost records goes
 * on without them, and when it leads it says that they are not there. Then another one is asked to lead.
 */
export class ReplicaAudit {
  readonly #options: ReplicaAuditOptions;
  readonly #gauge: ReturnType<Metrics['gauge']> | undefined;
  /** How many times in a row, by stream and server. */
  #seen = new Map<string, number>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: ReplicaAuditOptions) {
    this.#options = options;
    this.#gauge = options.metrics && damagedGaugeOf(options.metrics);
    this.#gauge?.set(0);
  }

  /** Goes on until `close`. */
  start(): void {
    void this.#run();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #run(): Promise<void> {
    const short = findShort(await this.#ask().catch(() => []));
    const seen = new Map<string, number>();
    for (const replica of short) {
      const name = `${replica.stream} ${replica.server}`;
      const times = (this.#seen.get(name) ?? 0) + 1;
      seen.set(name, times);
      if (times >= TIMES_TO_BELIEVE) await this.#report(replica, times);
    }
    this.#seen = seen;
    this.#gauge?.set([...seen.values()].filter((times) => times >= TIMES_TO_BELIEVE).length);
    if (this.#isClosed) return;
    const isNew = [...seen.values()].some((times) => times < TIMES_TO_BELIEVE);
    const pauseMs = isNew ? SUSPICIOUS_MS : EVERY_MS;
    this.#timer = this.#options.clock.setTimer(pauseMs, () => void this.#run());
  }

  async #report(replica: ShortReplica, times: number): Promise<void> {
    const { api, log } = this.#options;
    const { stream, server, lost, fuller, isLeader } = replica;
    if (times === TIMES_TO_BELIEVE) {
      log.error(
        { stream, server, lost, fuller },
        'a nats-server lost records of the store: stop it, remove its JetStream folder, and start it again',
      );
    }
    if (!isLeader) return;
    const request = { placement: { preferred: fuller } };
    await api.call(`STREAM.LEADER.STEPDOWN.${stream}`, request).catch(() => {});
  }

  async #ask(): Promise<ReplicaState[]> {
    const { api, log, monitoringUrls, streams, servers } = this.#options;
    const { connection } = api;
    const what = ['accounts', 'streams'] as const;
    const answers = await askServers({ connection, log, monitoringUrls, servers, what });
    return [...answers].flatMap(([server, answer]) =>
      answer
        .all('account_details')
        .flatMap((account) => account.all('stream_detail'))
        .filter((detail) => streams.has(detail.text('name')))
        .map((detail) => replicaIn(server, detail)),
    );
  }
}

function replicaIn(server: string, detail: JetStreamAnswer): ReplicaState {
  const state = detail.in('state');
  return {
    server,
    stream: detail.text('name'),
    isLeader: detail.in('cluster').get('leader') === server,
    revision: state.number('last_seq'),
    messages: state.number('messages'),
  };
}

function damagedGaugeOf(metrics: Metrics): ReturnType<Metrics['gauge']> {
  return metrics.gauge(
    'trustplane_store_damaged_replicas',
    'Copies of streams that lost records, of all buckets and nats-servers.',
  );
}
