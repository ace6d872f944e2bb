import { Client, type ClientReadableStream, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import { dialUnix, loadService } from '../wire/index.ts';
import { buildReport, type FactsReport } from './facts-report.ts';
import type { FactsView } from './facts-view.ts';

export interface FactsClientOptions {
  /** The agent's. */
  readonly socket: string;
  readonly view: FactsView;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** An agent says something every 10 s. */
const SILENCE_MS = 30_000;
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;
const REPORT_TIMEOUT_MS = 5_000;

/** Keeps a view as the agent of this host tells it, and tells the agent what is in force. What is known stays while no agent is there. */
export class FactsClient {
  readonly #options: FactsClientOptions;
  readonly #client: Client;
  readonly #service = loadService('trustplane/agent/v1/facts.proto', 'trustplane.agent.v1.Facts');
  readonly #metrics;
  #stream: ClientReadableStream<Uint8Array> | undefined;
  #timer: Timer | undefined;
  #failures = 0;
  #fault: string | undefined = 'the agent was not reached yet';
  #heardAt: number | undefined;
  #report: FactsReport | undefined;
  #isClosed = false;

  /** Connects at once, and again whenever it has to. @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
  constructor(options: FactsClientOptions) {
    this.#options = options;
    const dial = dialUnix(options.socket);
    this.#client = new Client(dial.target, dial.credentials, dial.options);
    const { metrics } = options;
    this.#metrics = {
      updates: metrics.counter(
        'trustplane_facts_updates_total',
        'Updates of the facts from the agent that took effect.',
      ),
      failures: metrics.counter(
        'trustplane_facts_stream_failures_total',
        'Streams of facts from the agent that failed.',
      ),
    };
    metrics.readGauge(
      'trustplane_facts_age_seconds',
      'How long ago the agent last said what holds; absent before it ever has.',
      (set) => {
        if (this.ageMs !== undefined) set({}, this.ageMs / 1_000);
      },
    );
    this.#connect();
  }

  /** Why there is no word from the agent now; undefined when there is. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Since the last whole update, an empty one included; undefined: none yet. */
  get ageMs(): number | undefined {
    return this.#heardAt === undefined ? undefined : this.#options.clock.now() - this.#heardAt;
  }

  /** Told to the agent now, and again whenever it comes back. */
  report(report: FactsReport): void {
    this.#report = report;
    if (this.#fault === undefined) this.#sendReport();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#stream?.cancel();
    this.#client.close();
  }

  #connect(): void {
    const { Watch: watch } = this.#service;
    if (watch === undefined) throw new TrustplaneError('ERR_INTERNAL', 'Facts has no method Watch');
    const stream = this.#client.makeServerStreamRequest<object, Uint8Array>(
      watch.path,
      watch.requestSerialize,
      (bytes: Buffer): Uint8Array => bytes,
      {},
    );
    this.#stream = stream;
    this.#listen(() => this.#end(stream, 'the agent is silent'));
    stream.on('data', (message: Uint8Array) => this.#take(stream, message));
    stream.on('error', (error: ServiceError) => this.#end(stream, describe(error)));
    stream.on('end', () => this.#end(stream, 'the agent ended the stream'));
  }

  #take(stream: ClientReadableStream<Uint8Array>, message: Uint8Array): void {
    if (stream !== this.#stream) return;
    const { view, clock, log, socket } = this.#options;
    this.#listen(() => this.#end(stream, 'the agent is silent'));
    try {
      if (!view.apply(message)) return;
    } catch (error) {
      return this.#end(stream, messageOf(error));
    }
    this.#metrics.updates.inc();
    this.#heardAt = clock.now();
    if (this.#fault === undefined) return;
    this.#fault = undefined;
    this.#failures = 0;
    log.info({ socket }, 'the agent tells what holds');
    this.#sendReport();
  }

  #end(stream: ClientReadableStream<Uint8Array>, fault: string): void {
    if (stream !== this.#stream || this.#isClosed) return;
    this.#stream = undefined;
    stream.cancel();
    const { log, socket } = this.#options;
    if (fault !== this.#fault) log.warn({ socket, fault }, 'the agent does not tell what holds');
    this.#fault = fault;
    this.#metrics.failures.inc();
    this.#failures += 1;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(this.#retryMs(), () => this.#connect());
  }

  #retryMs(): number {
    const doublings = Math.min(this.#failures - 1, 10);
    const delayMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** doublings);
    return Math.round(delayMs * (0.75 + 0.5 * this.#options.random()));
  }

  #listen(onSilence: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(SILENCE_MS, onSilence);
  }

  /** An agent that does not take it is told again with the next one. */
  #sendReport(): void {
    const { Report: method } = this.#service;
    if (method === undefined || this.#report === undefined) return;
    this.#client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      buildReport(this.#report),
      new Metadata(),
      { deadline: Date.now() + REPORT_TIMEOUT_MS },
      (error: ServiceError | null) => {
        if (error === null || this.#isClosed) return;
        this.#options.log.warn({ fault: describe(error) }, 'the agent does not take the report');
      },
    );
  }
}

function describe({ details, message }: ServiceError): string {
  return details === '' ? message : details;
}
