import { once } from 'node:events';
import { createServer } from 'node:http';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import type { Metrics } from './metrics.ts';

export interface MetricsServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves Prometheus text at `/metrics` over plain HTTP, for scrapers on the same host.
 * @throws TrustplaneError ERR_METRICS_ADDRESS
 */
export async function serveMetrics(
  address: { readonly host: string; readonly port: number },
  metrics: Metrics,
): Promise<MetricsServer> {
  const server = createServer(
    { requestTimeout: 5_000, maxHeaderSize: 8_192 },
    (request, response) => {
      if (request.url !== '/metrics' || request.method !== 'GET') {
        response.writeHead(404).end('metrics are at GET /metrics\n');
        return;
      }
      metrics.render().then(
        (text) =>
          response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(text),
        () => response.writeHead(500).end(),
      );
    },
  );
  server.maxConnections = 64;
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
