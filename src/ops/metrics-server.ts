import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import type { Metrics } from './metrics.ts';
import type { ProcessHealth } from './readiness.ts';

const TEXT_TYPE = 'text/plain';
const JSON_TYPE = 'application/json';
const MAX_CONNECTIONS = 64;
const TIMEOUTS = {
  headersTimeout: 2_000,
  requestTimeout: 2_000,
  connectionsCheckingInterval: 1_000,
};
/** Without a byte going either way. */
const IDLE_MS = 5_000;

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves Prometheus text at `/metrics`, health at `/live` and `/ready`, and other JSON by path over plain HTTP, for
 * programs on the same host. A connection is for one request, which is to come within seconds; of too many, the oldest without one is closed.
 * @throws TrustplaneError ERR_METRICS_ADDRESS
 */
export async function serveMetrics(
  address: { readonly host: string; readonly port: number },
  metrics: Metrics,
  readiness: { check(): ProcessHealth },
  others: ReadonlyMap<string, () => string> = new Map(),
): Promise<MetricsServer> {
  const pages: Readonly<Record<string, (response: ServerResponse) => void>> = {
    '/metrics': (response) => sendMetrics(response, metrics),
    '/live': (response) => send(response, 200, JSON_TYPE, '{"live":true}'),
    '/ready': (response) => sendReadiness(response, readiness.check()),
  };
  const open = new Set<Socket>();
  /** Oldest first. */
  const waiting = new Set<Socket>();
  const server = createServer({ ...TIMEOUTS, maxHeaderSize: 8_192 }, (request, response) => {
    waiting.delete(request.socket);
    response.setHeader('connection', 'close');
    const path = request.method === 'GET' ? (request.url?.split('?')[0] ?? '') : '';
    const [page, other] = [pages[path], others.get(path)];
    if (other !== undefined) send(response, 200, JSON_TYPE, other());
    else if (page === undefined) send(response, 404, TEXT_TYPE, 'GET /metrics, /live or /ready');
    else page(response);
  });
  server.timeout = IDLE_MS;
  server.on('connection', (socket) => {
    open.add(socket);
    waiting.add(socket);
    socket.on('close', () => open.delete(socket) && waiting.delete(socket));
    const [oldest] = waiting;
    if (open.size > MAX_CONNECTIONS) oldest?.destroy();
  });
  server.listen(address.port, address.host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new TrustplaneError(
      'ERR_METRICS_ADDRESS',
      `metrics cannot be served at ${address.host}:${address.port}: ${messageOf(error)}`,
      { cause: error },
    );
  }
  // Such as a connection that cannot be accepted for want of descriptors; the next one may be.
  server.on('error', () => {});
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function sendMetrics(response: ServerResponse, metrics: Metrics): void {
  metrics.render().then(
    (text) => send(response, 200, `${TEXT_TYPE}; version=0.0.4`, text),
    () => response.writeHead(500).end(),
  );
}

/** 503 while it is not ready; the body names each part that is at fault, the required ones and others. */
function sendReadiness(response: ServerResponse, { isReady, checks }: ProcessHealth): void {
  const failing = checks
    .filter(({ fault }) => fault !== undefined)
    .map(({ name, fault, isReady: canServe }) => ({ name, fault, required: !canServe }));
  const body = { ready: isReady, checks: checks.map(({ name }) => name), failing };
  send(response, isReady ? 200 : 503, JSON_TYPE, JSON.stringify(body));
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
  response.end(body.endsWith('\n') ? body : `${body}\n`);
}
