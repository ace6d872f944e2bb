import type { NatsConnection, Status } from '@nats-io/transport-node';
import { type Log, limitLog } from '../ops/index.ts';
import { messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import { clientLibrary } from './client-library.ts';
import { buildConnectOptions, type ConnectOptions } from './connect-options.ts';
import type { ConnectedNatsLink, NatsLink } from './nats-link.ts';
import { type NatsMetrics, natsMetricsOf } from './nats-metrics.ts';
import type { NatsIdentity, NatsOptions } from './nats-options.ts';
import { retryDelayMs } from './retry-delay.ts';

/** How often is asked whether there is another identity. */
const LOOK_MS = 15_000;
const CLOSE_MS = 2_000;
const FIRST_CONNECTION_MS = 30_000;

/**
 * Connects to NATS in the background and stays connected; returns at once.
 * @throws TrustplaneError ERR_NATS_SERVERS, ERR_NATS_PLAINTEXT, ERR_NATS_LOGIN
 */
export function openNats(options: NatsOptions): NatsLink {
  return new Link(options);
}

/**
 * As `openNats`, with the first connection made.
 * @param timeoutMs default 30,000
 * @throws TrustplaneError ERR_NATS_UNREACHABLE, and those of `openNats`
 */
export async function connectNats(
  options: NatsOptions,
  timeoutMs: number = FIRST_CONNECTION_MS,
): Promise<ConnectedNatsLink> {
  const link = new Link(options);
  const outOfTime = Promise.withResolvers<undefined>();
  const timer = options.clock.setTimer(timeoutMs, () => outOfTime.resolve(undefined));
  await Promise.race([link.connected(), outOfTime.promise]);
  timer.cancel();
  if (isConnectedOnce(link)) return link;
  const why = link.fault ?? 'it did not answer';
  await link.close();
  const where = options.servers.join(', ');
  throw new TrustplaneError('ERR_NATS_UNREACHABLE', `no connection to NATS at ${where}: ${why}`);
}

function isConnectedOnce(link: NatsLink): link is ConnectedNatsLink {
  return link.connection !== undefined;
}

type LiveIdentity = () => NatsIdentity | undefined;

class Link implements NatsLink {
  readonly #options: NatsOptions;
  readonly #connectOptions: ConnectOptions;
  readonly #log: Log;
  readonly #metrics: NatsMetrics;
  readonly #listeners = new Set<(isConnected: boolean) => void>();
  readonly #first: Promise<NatsConnection>;
  readonly #closing = Promise.withResolvers<undefined>();
  #connection: NatsConnection | undefined;
  #presented: NatsIdentity | undefined;
  #timer: Timer | undefined;
  #isConnected = false;
  #isClosed = false;
  #failures = 0;
  #failure = 'the first attempt is under way';

  constructor(options: NatsOptions) {
    this.#options = options;
    const { purpose, clock, log } = options;
    this.#log = limitLog(log.child({ nats: purpose }), clock);
    this.#metrics = natsMetricsOf(options.metrics);
    this.#metrics.connected.set({ purpose }, 0);
    this.#metrics.errors.inc({ purpose }, 0);
    this.#connectOptions = buildConnectOptions(this.#noting(options), {
      retryDelayMs: () => retryDelayMs(this.#failures, this.#random()),
      onFault: (error) => this.#note(error),
    });
    this.#first = this.#connectFirst();
    this.#first.catch(() => {});
  }

  get connection(): NatsConnection | undefined {
    return this.#connection;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get fault(): string | undefined {
    return this.#isConnected ? undefined : this.#failure;
  }

  async connected(): Promise<NatsConnection> {
    return await this.#first;
  }

  watch(listener: (isConnected: boolean) => void): () => void {
    // A function of its own: one listener may watch twice.
    const own = (isConnected: boolean): void => listener(isConnected);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closing.resolve(undefined);
    this.#timer?.cancel();
    const connection = this.#connection;
    if (connection === undefined || connection.isClosed()) return;
    const drained = this.#isConnected ? connection.drain() : Promise.resolve();
    await Promise.race([drained.catch(() => {}), this.#nap(CLOSE_MS)]);
    await connection.close();
  }

  async #connectFirst(): Promise<NatsConnection> {
    while (!this.#isClosed) {
      try {
        const connection = await this.#attempt();
        if (this.#isClosed) await connection.close();
        else return this.#adopt(connection);
      } catch (error) {
        this.#note(error);
        const wait = this.#nap(retryDelayMs(this.#failures, this.#random()));
        await Promise.race([wait, this.#closing.promise]);
      }
    }
    throw new TrustplaneError('ERR_NATS_CLOSED', 'the connection to NATS was closed');
  }

  async #attempt(): Promise<NatsConnection> {
    this.#metrics.attempts.inc({ purpose: this.#options.purpose });
    return await clientLibrary().connect(this.#connectOptions);
  }

  #adopt(connection: NatsConnection): NatsConnection {
    this.#connection = connection;
    void this.#follow(connection);
    this.#tell(true);
    this.#watchIdentity(connection);
    return connection;
  }

  /** A connection lasts as long as its identity is the one in use: nats-server itself never asks again. */
  #watchIdentity(connection: NatsConnection): void {
    const { clock, tls } = this.#options;
    if (typeof tls?.identity !== 'function' || this.#isClosed) return;
    if (this.#isConnected && this.#isRenewed(tls.identity)) void this.#renew(connection);
    this.#timer = clock.setTimer(LOOK_MS, () => this.#watchIdentity(connection));
  }

  /** Whoever has none any more stays with the one that was believed: without one it would be let in no more. */
  #isRenewed(identity: LiveIdentity): boolean {
    try {
      const now = identity();
      return now !== undefined && now !== this.#presented;
    } catch {
      return false;
    }
  }

  /** Keeps what was presented last. */
  #noting(options: NatsOptions): NatsOptions {
    const { tls } = options;
    if (typeof tls?.identity !== 'function') return options;
    const live = tls.identity;
    const identity: LiveIdentity = () => {
      this.#presented = live();
      return this.#presented;
    };
    return { ...options, tls: { ...tls, identity } };
  }

  async #renew(connection: NatsConnection): Promise<void> {
    await connection.flush().catch(() => {});
    if (!connection.isClosed()) await connection.reconnect();
  }

  /** Ends when the connection is closed. */
  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) this.#take(status);
    this.#failure = 'it is closed';
    this.#tell(false);
  }

  #take(status: Status): void {
    const { purpose } = this.#options;
    switch (status.type) {
      case 'disconnect':
        this.#failure = `the connection to ${status.server} was lost`;
        this.#tell(false);
        break;
      case 'reconnecting':
        this.#metrics.attempts.inc({ purpose });
        this.#failures += 1;
        break;
      case 'reconnect':
        this.#tell(true);
        break;
      case 'error':
        this.#metrics.errors.inc({ purpose });
        this.#log.warn({ reason: messageOf(status.error) }, 'NATS refused something');
        break;
      default:
        this.#log.debug({ status: status.type }, 'NATS status');
    }
  }

  #tell(isConnected: boolean): void {
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    this.#metrics.connected.set({ purpose: this.#options.purpose }, isConnected ? 1 : 0);
    if (isConnected) this.#failures = 0;
    const server = this.#connection?.getServer();
    if (isConnected) this.#log.info({ server }, 'connected to NATS');
    else if (!this.#isClosed) this.#log.warn({ reason: this.#failure }, 'not connected to NATS');
    for (const listener of this.#listeners) listener(isConnected);
  }

  #note(error: unknown): void {
    this.#failures += 1;
    this.#failure = messageOf(error);
    const { servers } = this.#options;
    this.#log.warn({ servers, reason: this.#failure }, 'an attempt to connect to NATS failed');
  }

  #random(): number {
    return (this.#options.random ?? Math.random)();
  }

  async #nap(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#options.clock.setTimer(ms, resolve);
    });
  }
}
