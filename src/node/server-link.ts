import {
  Client,
  type ClientDuplexStream,
  connectivityState,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import {
  dialTls,
  readServerTime,
  type ServerTrust,
  type TlsDial,
  type TlsIdentity,
} from '../wire/index.ts';
import { callError } from './call-error.ts';
import { type ServerMethod, serverMethod } from './server-methods.ts';

/** A call without an answer for this long has failed. */
const CALL_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Where a server listens. */
export interface ServerAddress {
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
}

export interface ServerLinkOptions {
  readonly address: ServerAddress;
  /** What the agent presents, live; undefined for nothing. */
  readonly identity: () => TlsIdentity | undefined;
  readonly trust: ServerTrust;
  readonly clock: Clock;
  /** Told what the server's clock showed while a call was under way. */
  readonly onServerTime?: ((reading: TimeReading) => void) | undefined;
}

/** What a server's clock showed between two instants of the own one; milliseconds since the epoch. */
export interface TimeReading {
  readonly server: string;
  readonly askedAt: number;
  readonly serverTime: number;
  readonly answeredAt: number;
}

/** The way to one server; connects when it is used, and again when that ends. */
export class ServerLink {
  readonly #dial: TlsDial;
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #onServerTime: ServerLinkOptions['onServerTime'];
  #isClosed = false;

  constructor({ address, identity, trust, clock, onServerTime }: ServerLinkOptions) {
    this.#dial = dialTls({ ...address, identity, trust, clock });
    this.#client = new Client(this.#dial.target, this.#dial.credentials, this.#dial.options);
    this.#clock = clock;
    this.#onServerTime = onServerTime;
  }

  /** `host:port` */
  get name(): string {
    return this.#dial.target;
  }

  get isConnected(): boolean {
    return !this.#isClosed && this.#state(false) === connectivityState.READY;
  }

  /**
   * Resolves when there is a connection.
   * @throws TrustplaneError ERR_NODE_UNREACHABLE, ERR_TLS_HANDSHAKE, ERR_NODE_SERVER
   */
  async connect(): Promise<void> {
    const timedOut = Promise.withResolvers<'late'>();
    const timer = this.#clock.setTimer(CONNECT_TIMEOUT_MS, () => timedOut.resolve('late'));
    try {
      let state = this.#state(true);
      while (state !== connectivityState.READY) {
        if (this.#isClosed || state === connectivityState.SHUTDOWN)
          throw this.#unreachable('closed');
        if (state === connectivityState.TRANSIENT_FAILURE) {
          throw this.#failure();
        }
        const change = this.#change(state);
        if ((await Promise.race([change, timedOut.promise])) === 'late') {
          throw this.#unreachable(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`);
        }
        state = this.#state(true);
      }
    } finally {
      timer.cancel();
    }
  }

  /** @throws TrustplaneError ERR_NODE_UNREACHABLE, ERR_AGENT_*, what else the server says */
  async call<Response>(name: ServerMethod, request: object): Promise<Response> {
    const { path, serialize, deserialize } = serverMethod<Response>(name);
    const askedAt = this.#clock.now();
    return await new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        path,
        serialize,
        deserialize,
        request,
        (error: ServiceError | null, response?: Response) => {
          timer.cancel();
          if (error !== null) reject(callError(error, this.name));
          else if (response === undefined) reject(this.#unreachable(`${name}: no answer`));
          else resolve(response);
        },
      );
      const timer = this.#clock.setTimer(CALL_TIMEOUT_MS, () => call.cancel());
      call.on('status', ({ metadata }) => this.#readTime(metadata, askedAt));
    });
  }

  /** A stream whose answers are read one at a time. */
  stream<Response>(name: ServerMethod): ServerStream<Response> {
    const { path, serialize, deserialize } = serverMethod<Response>(name);
    const call = this.#client.makeBidiStreamRequest(path, serialize, deserialize);
    return new ServerStream(call, this.name);
  }

  close(): void {
    this.#isClosed = true;
    this.#client.close();
  }

  #readTime(trailers: Metadata, askedAt: number): void {
    const serverTime = readServerTime(trailers);
    if (serverTime === undefined) return;
    const answeredAt = this.#clock.now();
    this.#onServerTime?.({ server: this.name, askedAt, serverTime, answeredAt });
  }

  #state(connect: boolean): connectivityState {
    return this.#client.getChannel().getConnectivityState(connect);
  }

  #change(from: connectivityState): Promise<void> {
    return new Promise((resolve) => {
      this.#client.getChannel().watchConnectivityState(from, Infinity, () => resolve());
    });
  }

  #failure(): TrustplaneError {
    const failure = this.#dial.failure();
    if (failure === undefined) return this.#unreachable('nothing answers');
    if (failure.category === 'unavailable') return this.#unreachable(failure.message);
    const message = `${this.name} does not prove to be a server of the trust domain: ${failure.message}`;
    return new TrustplaneError('ERR_NODE_SERVER', message, { cause: failure });
  }

  #unreachable(why: string): TrustplaneError {
    return new TrustplaneError('ERR_NODE_UNREACHABLE', `${this.name}: ${why}`);
  }
}

/** What is asked of a server. */
export interface ServerCalls {
  call<Response>(name: ServerMethod, request: object): Promise<Response>;
  stream<Response>(
    name: ServerMethod,
  ): Pick<ServerStream<Response>, 'send' | 'read' | 'end' | 'cancel'>;
}

/** One bidirectional call. */
export class ServerStream<Response> {
  readonly #call: ClientDuplexStream<object, Response>;
  readonly #answers: AsyncIterator<Response>;
  readonly #server: string;

  constructor(call: ClientDuplexStream<object, Response>, server: string) {
    this.#call = call;
    this.#server = server;
    this.#answers = call[Symbol.asyncIterator]();
  }

  send(request: object): void {
    this.#call.write(request);
  }

  /** The next answer; undefined at the end. @throws as `ServerLink.call` */
  async read(): Promise<Response | undefined> {
    try {
      const { value, done } = await this.#answers.next();
      return done === true ? undefined : value;
    } catch (error) {
      throw isServiceError(error) ? callError(error, this.#server) : error;
    }
  }

  /** No more is sent. */
  end(): void {
    this.#call.end();
  }

  /** Ends the call whatever is under way. */
  cancel(): void {
    this.#call.on('error', () => {});
    this.#call.cancel();
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}
