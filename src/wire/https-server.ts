import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log, Metrics } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { affordableConnections } from './descriptor-limit.ts';
import { HttpsGate } from './https-gate.ts';
import { listenTcp, type TcpAddress, tcpSettings } from './listen-tcp.ts';
import type { TlsIdentity } from './tls-settings.ts';
import { createSocketMetrics } from './wire-metrics.ts';

/** Of request line and headers. */
const MAX_HEADER_BYTES = 8_192;
const MAX_HEADERS = 64;
const MAX_REQUESTS_PER_CONNECTION = 100;

export interface HttpsLimits {
  /** Default 2,000, or what the limit on open files leaves room for. */
  readonly maxConnections?: number;
  /** From one IPv4 address or one IPv6 /64; default a quarter. */
  readonly maxConnectionsPerNetwork?: number;
  /** From the connection, or the last answer, to the end of the next request's headers; default 10 s. */
  readonly requestTimeoutMs?: number;
  /** Until the whole answer is taken; default 60 s. */
  readonly answerTimeoutMs?: number;
}

export interface HttpsServerOptions extends TcpAddress {
  /** What the server presents. Asked for each connection: a new object is presented at once. What it throws refuses the connection. */
  identity(): TlsIdentity;
  /** While an ACME authority validates (RFC 8737): what it is to see. Default: none. */
  acmeChallenge?(): TlsIdentity | undefined;
  /** Called for each request, whose body is not read; answers by the response alone. */
  readonly answer: RequestListener;
  /** Bytes that were no HTTP/1.1 request were answered with this status. */
  onMalformed(status: number): void;
  /** The value of the metrics' label `socket`. */
  readonly name: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly limits?: HttpsLimits;
}

export interface HttpsServer extends TcpAddress {
  /** Accepts no more, lets answers that have begun end, and destroys what is left after `graceMs`. Resolves when the last connection is closed. */
  close(graceMs: number): Promise<void>;
}

/**
 * Serves HTTP/1.1 over TLS 1.2 and 1.3 for anybody: no client certificate is asked for, no session
 * is resumed. At most 8 KiB and 64 headers a request, 100 requests a connection.
 * @throws TrustplaneError ERR_LISTEN
 */
export async function serveHttps(options: HttpsServerOptions): Promise<HttpsServer> {
  const log = options.log.child({ socket: `${options.host}:${options.port}` });
  const { clock, limits = {} } = options;
  const answer: RequestListener = (request, response) => options.answer(request, response);
  const http = createHttpServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 0 }, answer);
  http.maxHeadersCount = MAX_HEADERS;
  // The gate has a clock of its own.
  http.requestTimeout = 0;
  http.headersTimeout = 0;
  // A body is not waited for.
  http.on('checkContinue', answer);
  const maxConnections = affordableConnections(limits.maxConnections ?? 2_000, log);
  const gate = new HttpsGate({
    http,
    identity: () => options.identity(),
    acmeChallenge: () => options.acmeChallenge?.(),
    metrics: createSocketMetrics(options.metrics, options.name, 'https'),
    log,
    clock,
    maxRequests: MAX_REQUESTS_PER_CONNECTION,
    maxConnections,
    maxConnectionsPerNetwork: limits.maxConnectionsPerNetwork ?? Math.ceil(maxConnections / 4),
    requestTimeoutMs: limits.requestTimeoutMs ?? 10_000,
    answerTimeoutMs: limits.answerTimeoutMs ?? 60_000,
  });
  http.on('clientError', (error, socket) => {
    const isGone = 'code' in error && error.code === 'ECONNRESET';
    if (isGone || !socket.writable || gate.isAnswering(socket)) socket.destroy();
    else options.onMalformed(refuseMalformed(error, socket));
  });
  const listener = createServer(tcpSettings, (socket) => gate.admit(socket));
  const address = await listenTcp(listener, options);
  listener.on('error', (error) => gate.acceptFailed(error));
  log.info(address, 'listening');
  let closed: Promise<void> | undefined;
  const close = async (graceMs: number): Promise<void> => {
    const lastClosed = new Promise<void>((resolve) => listener.close(() => resolve()));
    gate.close();
    const timer = clock.setTimer(graceMs, () => gate.destroyAll());
    await lastClosed;
    timer.cancel();
  };
  return { ...address, close: (graceMs) => (closed ??= close(graceMs)) };
}

/** @returns the status */
function refuseMalformed(error: Error, socket: Duplex): number {
  const isTooLarge = 'code' in error && error.code === 'HPE_HEADER_OVERFLOW';
  const [status, reason] = isTooLarge
    ? [431, 'Request Header Fields Too Large']
    : [400, 'Bad Request'];
  socket.end(`HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  return status;
}
