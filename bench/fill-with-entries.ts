import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { EntryRegistry } from '../src/entries/index.ts';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { TrustDomain } from '../src/spiffe/index.ts';
import { openSqliteStore } from '../src/store/index.ts';

const AT_ONCE = 1_000;

/** Entries below each node. */
export const entriesPerNode = 100;

/** The SPIFFE ID below which the entry of that number stands. */
export function nodePath(index: number): string {
  return `/node/${Math.floor(index / entriesPerNode)}`;
}

/** Writes entries like those of a Kubernetes cluster into the data directory of a server that does not run. */
export async function fillWithEntries(dataDir: string, count: number): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const trustDomain = TrustDomain.parse('example.org');
  const common = { trustDomain, clock: systemClock, log: silentLog };
  await using stack = new AsyncDisposableStack();
  const store = await openSqliteStore({ ...common, path: path.join(dataDir, 'trustplane.db') });
  stack.defer(async () => await store.close());
  const bucket = store.bucket('entries');
  const registry = await EntryRegistry.load({
    ...common,
    bucket,
    randomBytes,
    metrics: createMetrics(),
  });
  stack.defer(async () => await registry.close());
  for (let first = 0; first < count; first += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, i) => first + i);
    await Promise.all(some.map(async (index) => await registry.create(workload(index))));
  }
}

function workload(index: number) {
  const [namespace, account] = [`team-${index % 500}`, `service-${index}`];
  return {
    spiffeId: `spiffe://example.org/ns/${namespace}/sa/${account}`,
    parentId: `spiffe://example.org${nodePath(index)}`,
    selectors: [
      { type: 'k8s', value: `ns:${namespace}` },
      { type: 'k8s', value: `sa:${account}` },
      { type: 'k8s', value: 'container-name:app' },
    ],
    dnsNames: [`${account}.${namespace}.svc.cluster.local`],
  };
}
