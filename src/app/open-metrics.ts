import type { Config } from './config.ts';
import type { Process } from './process.ts';

/** Serves metrics and health where an address for them is configured; closed with `process`. @throws TrustplaneError ERR_METRICS_ADDRESS */
export async function openMetrics(config: Config, process: Process): Promise<void> {
  const { metrics, closing, readiness, pages } = process;
  if (config.metricsAddress === undefined) return;
  // Loaded when it is wanted: node:http takes longer to load than everything else here.
  const { serveMetrics } = await import('../ops/metrics-server.ts');
  const server = await serveMetrics(config.metricsAddress, metrics, readiness, pages);
  closing.defer(() => server.close());
}
