import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import type { Metrics } from './metrics.ts';

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
 * Serves Prometheus text at `/metrics` over plain HTTP, for scrapers on the same host. A connection
 * is for one request, which is to come within seconds; of too many, the oldest without one is closed.
 * @throws TrustplaneError ERR_METRICS_ADDRESS
 */
export async function serveMetrics(
  address: { readonly host: string; readonly port: number },
  metrics: Metrics,
): Promise<MetricsServer> {
  const open = new Set<Socket>();
  /** Oldest first. */
  const waiting = new Set<Socket>();
  const server = createServer({ ...TIMEOUTS, maxHeaderSize: 8_192 }, (request, response) => {
    waiting.delete(request.socket);
    response.setHeader('connection', 'close');
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end('metrics are at GET /metrics\n');
      return;
    }
    metrics.render().then(
      (text) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text),
      () => response.writeHead(500).end(),
    );
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
