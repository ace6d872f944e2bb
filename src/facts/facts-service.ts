import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import type { Log, Metrics } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import {
  type GrpcService,
  loadService,
  type PeerProcess,
  peerOf,
  toServiceError,
} from '../wire/index.ts';
import type { FactsFeed } from './facts-feed.ts';
import { type FactsReport, parseReport, type WireReport } from './facts-report.ts';

/** Who may read the facts, beside root. */
export interface FactsReaders {
  readonly uids: readonly number[];
  /** Effective groups. */
  readonly gids: readonly number[];
}

export interface FactsServiceOptions {
  readonly feed: Pick<FactsFeed, 'open'>;
  readonly readers: FactsReaders;
  /** Told, after each change, what the programs that read say of themselves. */
  readonly onReports: (reports: readonly FactsReport[]) => void;
  readonly log: Log;
  readonly metrics: Metrics;
}

type WatchCall = ServerWritableStream<object, Uint8Array>;

/** Of one process. */
const MAX_STREAMS = 8;
const FILE = 'trustplane/agent/v1/facts.proto';

/** trustplane.agent.v1.Facts, for those who may read. */
export function createFactsService(options: FactsServiceOptions): GrpcService {
  const server = new FactsServer(options);
  const definition = loadService(FILE, 'trustplane.agent.v1.Facts');
  const { Watch: watch, ...rest } = definition;
  if (watch === undefined) throw new TrustplaneError('ERR_INTERNAL', `no Watch in ${FILE}`);
  // Updates are encoded already.
  const encoded = {
    ...watch,
    responseSerialize: (bytes: Uint8Array) =>
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  };
  return {
    definition: { ...rest, Watch: encoded },
    implementation: {
      Watch: (call: WatchCall) => server.watch(call),
      Report: (call: ServerUnaryCall<WireReport, object>, respond: sendUnaryData<object>) =>
        server.report(call, respond),
    },
  };
}

class FactsServer {
  readonly #options: FactsServiceOptions;
  readonly #metrics;
  /** Open streams by process, and what it said of itself. */
  readonly #readers = new Map<PeerProcess, { streams: number; report: FactsReport | undefined }>();

  constructor(options: FactsServiceOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#metrics = {
      messages: metrics.counter(
        'trustplane_facts_messages_total',
        'Messages with facts that were sent to other programs of the host.',
      ),
      refusals: metrics.counter(
        'trustplane_facts_refusals_total',
        'Calls for facts that were refused, by error code.',
        ['code'],
      ),
    };
    metrics.readGauge(
      'trustplane_facts_readers_count',
      'Programs of the host that are told of facts now.',
      (set) => set({}, this.#readers.size),
    );
  }

  watch(call: WatchCall): void {
    try {
      this.#serve(call, this.#admit(call));
    } catch (error) {
      this.#refuse(call, error);
    }
  }

  report(call: ServerUnaryCall<WireReport, object>, respond: sendUnaryData<object>): void {
    try {
      const reader = this.#readers.get(this.#admit(call));
      if (reader === undefined) {
        const message = 'a report: expected a process with an open Watch stream; got one with none';
        throw new TrustplaneError('ERR_FACTS_REPORT', message);
      }
      reader.report = parseReport(call.request);
      this.#tellReports();
      respond(null, {});
    } catch (error) {
      this.#count(error);
      respond(toServiceError(error));
    }
  }

  #serve(call: WatchCall, process: PeerProcess): void {
    const { log, feed } = this.#options;
    const release = this.#take(process);
    const { pid, uid } = process;
    log.info({ pid, uid }, 'a program is told of facts');
    const feeding = feed.open((message, taken) => {
      // Another process may hold the connection of one that has exited.
      if (!process.isAlive()) return end(gone(pid));
      this.#metrics.messages.inc();
      call.write(message, taken);
    });
    const finish = (): void => {
      feeding.close();
      release();
    };
    const end = (error: Error): void => {
      finish();
      this.#refuse(call, error);
    };
    for (const event of ['cancelled', 'close', 'finish', 'error']) call.once(event, finish);
  }

  /** @throws TrustplaneError ERR_FACTS_READER, ERR_PEER_* */
  #admit(call: { getPeer(): string }): PeerProcess {
    const process = peerOf(call);
    const { uids, gids } = this.#options.readers;
    const { pid, uid, gid } = process;
    if (uid === 0 || uids.includes(uid) || gids.includes(gid)) return process;
    throw new TrustplaneError(
      'ERR_FACTS_READER',
      `facts: expected a process of user ${[0, ...uids].join(', ')}${gids.length === 0 ? '' : ` or group ${gids.join(', ')}`} (agent.factsReaders lists others); process ${pid} is of user ${uid} and group ${gid}`,
    );
  }

  /** @throws TrustplaneError ERR_FACTS_STREAMS */
  #take(process: PeerProcess): () => void {
    const reader = this.#readers.get(process) ?? { streams: 0, report: undefined };
    if (reader.streams >= MAX_STREAMS) {
      const message = `facts: process ${process.pid} has ${reader.streams} open streams; at most ${MAX_STREAMS} are allowed`;
      throw new TrustplaneError('ERR_FACTS_STREAMS', message);
    }
    reader.streams += 1;
    this.#readers.set(process, reader);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      reader.streams -= 1;
      if (reader.streams > 0) return;
      this.#readers.delete(process);
      if (reader.report !== undefined) this.#tellReports();
    };
  }

  #tellReports(): void {
    const reports = [...this.#readers.values()].flatMap(({ report }) => report ?? []);
    this.#options.onReports(reports);
  }

  #refuse(call: WatchCall, error: unknown): void {
    this.#count(error);
    const { log } = this.#options;
    if (error instanceof Error) log.warn({ reason: error.message }, 'facts are not told');
    call.emit('error', toServiceError(error));
  }

  #count(error: unknown): void {
    const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
    this.#metrics.refusals.inc({ code });
  }
}

function gone(pid: number): TrustplaneError {
  return new TrustplaneError(
    'ERR_PEER_GONE',
    `process ${pid} opened the stream and has exited since`,
  );
}
