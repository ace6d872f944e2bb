import path from 'node:path';
import { startAgent } from '../src/app/agent-run.ts';
import { startAuthzRun } from '../src/app/authz-run.ts';
import { buildConfig } from '../src/app/config.ts';
import { openDecisionLog } from '../src/app/open-decision-log.ts';
import { createProcess } from '../src/app/process.ts';
import { startServer } from '../src/app/server-run.ts';
import { startUp } from '../src/app/up.ts';
import { createDecisionMetrics, PolicyPromotion } from '../src/check/index.ts';
import { natsMetricsOf } from '../src/nats/nats-metrics.ts';
import { createMetrics, type Metrics, silentLog, systemClock } from '../src/ops/index.ts';
import { damagedGaugeOf } from '../src/store/jetstream-audit.ts';
import { createRunFolder } from '../test/programs/run-folder.ts';

/** A metric as it is registered. */
export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

/** A Markdown table of metrics in the order of their names. */
export function formatMetricTable(metrics: readonly Metric[]): string {
  const rows = metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(
      ({ name, type, labels, help }) =>
        `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
    );
  return ['| metric | type | labels | meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/**
 * Every metric that `trustplane up`, `server run`, `agent run` and `authz run` register, found by starting them, and those of what
 * needs NATS for it.
 */
export async function findMetrics(): Promise<Metric[]> {
  const found = new Map<string, Metric>();
  for (const start of [startUp, startServer, startAgent, startAuthzRun]) {
    for (const metric of await metricsOf(start)) found.set(metric.name, metric);
  }
  for (const metric of [...natsMetrics(), ...threadMetrics()]) found.set(metric.name, metric);
  return [...found.values()];
}

function natsMetrics(): Metric[] {
  const found: Metric[] = [];
  const metrics = recording(createMetrics(), found);
  natsMetricsOf(metrics);
  damagedGaugeOf(metrics);
  return found;
}

/** Of the thread that decides, which counts for itself. */
function threadMetrics(): Metric[] {
  const found: Metric[] = [];
  const metrics = recording(createMetrics(), found);
  createDecisionMetrics(metrics);
  const config = { file: undefined, stdout: true, nats: undefined, sample: 1, headers: [] };
  openDecisionLog({ config, clock: systemClock, log: silentLog, metrics });
  void new PolicyPromotion(silentLog, metrics);
  return found;
}

async function metricsOf(
  start: typeof startUp | typeof startServer | typeof startAgent | typeof startAuthzRun,
): Promise<Metric[]> {
  const found: Metric[] = [];
  const folder = createRunFolder();
  const paths = {
    dataDir: path.join(folder.path, 'data'),
    agentDataDir: path.join(folder.path, 'agent'),
    agentCacheKeyFile: path.join(folder.path, 'agent-cache.key'),
    runDir: folder.path,
    socket: path.join(folder.path, 'agent.sock'),
    adminSocket: path.join(folder.path, 'admin.sock'),
  };
  const process = createProcess('fatal');
  const authz = { socket: path.join(folder.path, 'authz.sock'), policies: folder.path };
  const running = await start(buildConfig({ bindAddress: '127.0.0.1:0' }, { authz }, paths), {
    ...process,
    metrics: recording(process.metrics, found),
  });
  await running.close();
  await folder.remove();
  return found;
}

function recording(metrics: Metrics, found: Metric[]): Metrics {
  return {
    counter(name, help, labels = []) {
      found.push({ type: 'counter', name, help, labels });
      return metrics.counter(name, help, labels);
    },
    gauge(name, help, labels = []) {
      found.push({ type: 'gauge', name, help, labels });
      return metrics.gauge(name, help, labels);
    },
    histogram(name, help, buckets, labels = []) {
      found.push({ type: 'histogram', name, help, labels });
      return metrics.histogram(name, help, buckets, labels);
    },
    readGauge(name, help, read, labels = []) {
      found.push({ type: 'gauge', name, help, labels });
      metrics.readGauge(name, help, read, labels);
    },
    figures: async () => await metrics.figures(),
    join: (read) => metrics.join(read),
    render: () => metrics.render(),
  };
}
