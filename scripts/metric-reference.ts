import path from 'node:path';
import { startAgent } from '../src/app/agent-run.ts';
import { startAuthzRun } from '../src/app/authz-run.ts';
import { buildConfig } from '../src/app/config.ts';
import { createProcess } from '../src/app/process.ts';
import { startServer } from '../src/app/server-run.ts';
import { startUp } from '../src/app/up.ts';
import type { Metrics } from '../src/ops/index.ts';
import { createRunFolder } from '../test/programs/run-folder.ts';
import { type Alert, metricsIn, registeredName } from './alert-rules.ts';
import { findLiteralMetrics } from './literal-metrics.ts';

/** A metric as it is registered. */
export interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

/** A Markdown table of metrics in the order of their names, each with the alerts that go by it. */
export function formatMetricTable(
  metrics: readonly Metric[],
  alerts: readonly Pick<Alert, 'name' | 'expression'>[],
): string {
  const alertsOf = (name: string): string =>
    alerts
      .filter(({ expression }) =>
        metricsIn(expression).some(({ metric }) => registeredName(metric) === name),
      )
      .map((alert) => `\`${alert.name}\``)
      .join(', ');
  const rows = metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(
      ({ name, type, labels, help }) =>
        `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} | ${alertsOf(name)} |`,
    );
  return [
    '| metric | type | labels | meaning | alert |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

/**
 * Every metric: those whose names stand in the source as they are, and those that `trustplane up`, `server run`,
 * `agent run` and `authz run` register besides, found by starting them.
 */
export async function findMetrics(): Promise<Metric[]> {
  const found = new Map(findLiteralMetrics().map((metric) => [metric.name, metric]));
  for (const start of [startUp, startServer, startAgent, startAuthzRun]) {
    for (const metric of await metricsOf(start)) found.set(metric.name, metric);
  }
  return [...found.values()];
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
