import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { pause } from '../ops/pause.ts';
import { type Clock, type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { type Dial, dialUnix, loadService } from '../wire/index.ts';
import type { EndpointAddress } from './endpoint-address.ts';
import { isServiceError, remoteError } from './remote-error.ts';
import { streamRetryDelayMs } from './retry-delay.ts';
import { type FetchedJwt, fetchJwt, type ValidatedJwt, validateJwt } from './workload-jwt-calls.ts';
import { parseX509Context, type X509Context, type X509SvidResponse } from './x509-context.ts';

export interface WorkloadApiClientOptions {
  readonly address: EndpointAddress;
  readonly clock: Clock;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
}

const LONGEST_INTERVAL_MS = 2 ** 31 - 1;

/** What a watcher sees. */
export type X509WatchEvent =
  /** The whole state; it replaces what came before. */
  | { readonly type: 'update'; readonly context: X509Context }
  /** The caller has no identity (any more): what came before is to be dropped. */
  | { readonly type: 'denied'; readonly error: TrustplaneError; readonly retryInMs: number }
  /** Nothing comes now; what came before stays in use. */
  | { readonly type: 'interrupted'; readonly error: TrustplaneError; readonly retryInMs: number }
  /** A message that is not valid was discarded; what came before stays in use. */
  | { readonly type: 'rejected'; readonly error: TrustplaneError };

/** A Workload API client for the X.509 and JWT profiles. */
export interface WorkloadApiClient {
  /**
   * The state now.
   * @throws TrustplaneError the server's own code (ERR_WORKLOAD_NO_IDENTITY ...), ERR_REMOTE*,
   * ERR_UNREACHABLE, ERR_CLIENT_RESPONSE
   */
  fetchX509(timeoutMs: number): Promise<X509Context>;
  /**
   * The state now and after each change, reconnecting with backoff, until `signal` aborts (then the
   * iteration ends normally).
   * @throws TrustplaneError when the server says that trying again is of no use
   */
  watchX509(signal: AbortSignal): AsyncIterable<X509WatchEvent>;
  /**
   * JWT-SVIDs for the audience, of all the caller's identities or of one.
   * @throws TrustplaneError as `fetchX509`
   */
  fetchJwt(
    audience: readonly string[],
    spiffeId: SpiffeId | undefined,
    timeoutMs: number,
  ): Promise<readonly FetchedJwt[]>;
  /** Whose token it is, and what it claims. @throws TrustplaneError ERR_WORKLOAD_TOKEN; as `fetchX509` */
  validateJwt(audience: string, token: string, timeoutMs: number): Promise<ValidatedJwt>;
  close(): void;
}

type X509Stream = ClientReadableStream<X509SvidResponse>;

export function createWorkloadApiClient(options: WorkloadApiClientOptions): WorkloadApiClient {
  const dial = dialAddress(options.address);
  const client = new Client(dial.target, dial.credentials, dial.options);
  const open = (): X509Stream => openX509Stream(client);
  const address = describe(options.address);
  return {
    fetchX509: (timeoutMs) => fetchX509(open(), timeoutMs, options),
    watchX509: (signal) => watchX509(open, signal, options),
    fetchJwt: (audience, spiffeId, timeoutMs) =>
      fetchJwt({ client, address, timeoutMs }, audience, spiffeId),
    validateJwt: (audience, token, timeoutMs) =>
      validateJwt({ client, address, timeoutMs }, audience, token),
    close: () => client.close(),
  };
}

async function fetchX509(
  stream: X509Stream,
  timeoutMs: number,
  { address, clock }: WorkloadApiClientOptions,
): Promise<X509Context> {
  let isLate = false;
  const timer = clock.setTimer(timeoutMs, () => {
    isLate = true;
    stream.cancel();
  });
  try {
    for await (const message of stream) return parseX509Context(message, clock.now());
    throw new TrustplaneError('ERR_CLIENT_RESPONSE', 'the Workload API ended without an answer');
  } catch (error) {
    if (isLate) throw new TrustplaneError('ERR_UNREACHABLE', `no answer within ${timeoutMs} ms`);
    throw isServiceError(error) ? remoteError(error, describe(address)) : error;
  } finally {
    timer.cancel();
    stream.cancel();
  }
}

async function* watchX509(
  open: () => X509Stream,
  signal: AbortSignal,
  options: WorkloadApiClientOptions,
): AsyncGenerator<X509WatchEvent> {
  let failures = 0;
  while (!signal.aborted) {
    const stream = open();
    const cancel = (): void => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    let ended: ServiceError | undefined;
    failures++;
    try {
      for await (const message of stream) {
        if (signal.aborted) return;
        failures = 0;
        yield readMessage(message, options.clock.now());
      }
    } catch (error) {
      if (!isServiceError(error)) throw error;
      ended = error;
    } finally {
      signal.removeEventListener('abort', cancel);
      stream.cancel();
    }
    if (signal.aborted) return;
    const event = endEvent(ended, failures, options);
    yield event;
    await pauseAlive(event.retryInMs, signal, options.clock);
  }
}

function readMessage(message: X509SvidResponse, now: number): X509WatchEvent {
  try {
    return { type: 'update', context: parseX509Context(message, now) };
  } catch (error) {
    if (error instanceof TrustplaneError) return { type: 'rejected', error };
    throw error;
  }
}

function endEvent(
  ended: ServiceError | undefined,
  failures: number,
  { address, random }: WorkloadApiClientOptions,
): Extract<X509WatchEvent, { retryInMs: number }> {
  const error =
    ended === undefined
      ? new TrustplaneError('ERR_UNREACHABLE', 'the Workload API closed the stream')
      : remoteError(ended, describe(address));
  const code = ended?.code ?? status.OK;
  const retryInMs = streamRetryDelayMs(code, failures, random());
  if (retryInMs === undefined) throw error;
  const type = code === status.PERMISSION_DENIED ? 'denied' : 'interrupted';
  return { type, error, retryInMs };
}

/** Keeps the process alive meanwhile, as an open stream would: the timers of a clock do not. */
async function pauseAlive(delayMs: number, signal: AbortSignal, clock: Clock): Promise<void> {
  const alive = setInterval(() => {}, LONGEST_INTERVAL_MS);
  await pause(clock, delayMs, signal);
  clearInterval(alive);
}

function openX509Stream(client: Client): X509Stream {
  const method = loadService('workload.proto', 'SpiffeWorkloadAPI')['FetchX509SVID'];
  if (method === undefined) throw new TrustplaneError('ERR_INTERNAL', 'no method FetchX509SVID');
  const metadata = new Metadata();
  metadata.set('workload.spiffe.io', 'true');
  const stream: X509Stream = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    (bytes): X509SvidResponse => method.responseDeserialize(bytes),
    {},
    metadata,
  );
  // A cancelled call emits its error also when nobody reads on.
  stream.on('error', () => {});
  return stream;
}

function dialAddress(address: EndpointAddress): Dial {
  if (address.kind === 'unix') return dialUnix(address.path);
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return {
    target: `${host}:${address.port}`,
    credentials: credentials.createInsecure(),
    options: {},
  };
}

function describe(address: EndpointAddress): string {
  return address.kind === 'unix'
    ? `unix://${address.path}`
    : `tcp://${address.host}:${address.port}`;
}
