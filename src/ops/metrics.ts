import { createRequire } from 'node:module';
import type * as Prometheus from 'prom-client';
import { type Figure, joinFigures } from './joined-figures.ts';

/** The rest of the library takes as long to load as all of this program, and is not used. */
const require = createRequire(import.meta.url);
const Counter: typeof Prometheus.Counter = require('prom-client/lib/counter.js');
const Gauge: typeof Prometheus.Gauge = require('prom-client/lib/gauge.js');
const Histogram: typeof Prometheus.Histogram = require('prom-client/lib/histogram.js');
const Registry: typeof Prometheus.Registry = require('prom-client/lib/registry.js');

/**
 * The process's metrics. Names are `trustplane_<room>_<noun>_<unit>`; label sets are fixed and
 * bounded. A room makes its own with these three and keeps them in one object.
 */
export interface Metrics {
  counter<L extends string>(
    name: string,
    help: string,
    labels?: readonly L[],
  ): Prometheus.Counter<L>;
  gauge<L extends string>(name: string, help: string, labels?: readonly L[]): Prometheus.Gauge<L>;
  histogram<L extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly L[],
  ): Prometheus.Histogram<L>;
  /** A gauge that is read at each scrape: `read` calls `set` for each label set that there is now. */
  readGauge<L extends string>(
    name: string,
    help: string,
    read: (set: (labels: Readonly<Record<L, string>>, value: number) => void) => void,
    labels?: readonly L[],
  ): void;
  /** All as they stand, for `join` on another thread. */
  figures(): Promise<readonly Figure[]>;
  /** Renders what another thread counts with its own, until the returned function is called; `read` must not reject. */
  join(read: () => Promise<readonly Figure[]>): () => void;
  /** Prometheus text format. */
  render(): Promise<string>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const others = new Set<() => Promise<readonly Figure[]>>();
  const figures = async (): Promise<readonly Figure[]> =>
    (await registry.getMetricsAsJSON()).map(figureOf);
  return {
    counter: (name, help, labels = []) =>
      new Counter({ name, help, labelNames: labels, registers }),
    gauge: (name, help, labels = []) => new Gauge({ name, help, labelNames: labels, registers }),
    histogram: (name, help, buckets, labels = []) =>
      new Histogram({ name, help, buckets: [...buckets], labelNames: labels, registers }),
    readGauge<L extends string>(
      name: string,
      help: string,
      read: (set: (labels: Readonly<Record<L, string>>, value: number) => void) => void,
      labels: readonly L[] = [],
    ) {
      const gauge: Prometheus.Gauge<L> = new Gauge({
        name,
        help,
        labelNames: labels,
        registers,
        collect() {
          gauge.reset();
          // One without labels begins at 0, which may be wrong.
          if (labels.length === 0) gauge.remove({});
          read((of, value) => gauge.set(of, value));
        },
      });
    },
    figures,
    join(read) {
      others.add(read);
      return () => others.delete(read);
    },
    async render() {
      if (others.size === 0) return await registry.metrics();
      return await renderJoined(
        await Promise.all([figures(), ...[...others].map(async (read) => await read())]),
      );
    },
  };
}

type Counted = Omit<Figure, 'type'> & { readonly type: Prometheus.MetricType };

function figureOf({ name, help, type, values }: Counted): Figure {
  return {
    name,
    help,
    type: String(type),
    values: values.map(({ labels, value, metricName }) => ({
      labels,
      value,
      ...(metricName !== undefined && { metricName }),
    })),
  };
}

async function renderJoined(threads: readonly (readonly Figure[])[]): Promise<string> {
  const joined = new Registry();
  for (const figure of joinFigures(threads)) {
    const metric = { ...figure, get: async () => figure };
    const register: unknown = Reflect.get(joined, 'registerMetric');
    if (typeof register === 'function') Reflect.apply(register, joined, [metric]);
  }
  return await joined.metrics();
}
