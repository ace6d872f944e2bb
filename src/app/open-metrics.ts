import type { Config } from './config.ts';
import type { Process } from './process.ts';

/** Serves metrics where an address for them is configured; closed with `process`. @throws TrustplaneError ERR_METRICS_ADDRESS */
export async function openMetrics(config: Config, { metrics, closing }: Process): Promise<void> {
  if (config.metricsAddress === undefined) return;
  // Loaded when it is wanted: node:http takes longer to load than everything else here.
  const { serveMetrics } = await import('../ops/metrics-server.ts');
  const server = await serveMetrics(config.metricsAddress, metrics);
  closing.defer(() => server.close());
}
