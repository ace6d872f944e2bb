import { createAdminClient, createWorkloadApiClient } from '../src/client/index.ts';
import { systemClock } from '../src/ops/index.ts';
import { SdsClient, type SdsTestStream } from '../test/fakes/sds-client.ts';
import { launchServerAndAgent } from '../test/programs/launch-server-and-agent.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { workloadEntry } from './workload-entry.ts';

const SAMPLES = 200;
const LIMIT_MS = 50;

/** From the call that deletes an entry at the server until an agent's Workload API and delta SDS streams both say so. */
export const fleetDeleteToStream: Benchmark = p99OfRuns({
  name: 'fleet_delete_to_stream_p99_ms',
  about: `entry deleted at the server → the Workload API and the delta SDS stream of a remote agent are without it; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure,
});

async function measure(folder: string): Promise<number[]> {
  await using fleet = await launchServerAndAgent(folder);
  await using stack = new AsyncDisposableStack();
  const admin = createAdminClient(fleet.adminSocket);
  stack.defer(() => admin.close());
  // One that stays: a workload without any identity is refused, and its stream ends.
  await admin.createEntry(workloadEntry('/stays', fleet.agentPath));
  const identities = watchIdentities(fleet.socket, stack);
  await identities.settled((ids) => ids.has('spiffe://example.org/stays'));
  const secrets = followSecrets(fleet.socket, stack);
  const times: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const id = `spiffe://example.org/goes/${sample}`;
    const [entry] = await Promise.all([
      admin.createEntry(workloadEntry(`/goes/${sample}`, fleet.agentPath)),
      identities.settled((ids) => ids.has(id)),
      secrets.subscribe(id),
    ]);
    const began = performance.now();
    const [seen, removed] = await Promise.all([
      identities.settled((ids) => !ids.has(id)),
      secrets.removal(id),
      admin.deleteEntries([entry.id]),
    ]);
    times.push(Math.max(seen, removed) - began);
  }
  return times;
}

/** The identities on one FetchX509SVID stream. */
function watchIdentities(socket: string, stack: AsyncDisposableStack) {
  const address = { kind: 'unix', path: socket } as const;
  const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
  const stopped = new AbortController();
  let ids: ReadonlySet<string> = new Set();
  const waiting = new Set<() => void>();
  const reading = (async () => {
    for await (const event of client.watchX509(stopped.signal)) {
      if (event.type !== 'update') continue;
      ids = new Set(event.context.svids.map(({ svid }) => svid.spiffeId.toString()));
      for (const look of waiting) look();
    }
  })();
  stack.defer(async () => {
    stopped.abort();
    await reading;
    client.close();
  });
  return {
    /** Resolves with the instant (performance.now) at which the identities are as `isSo` says. */
    settled: (isSo: (ids: ReadonlySet<string>) => boolean): Promise<number> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!isSo(ids)) return;
          waiting.delete(look);
          resolve(performance.now());
        };
        waiting.add(look);
        look();
      }),
  };
}

/** One delta SDS stream, to which names are added. */
function followSecrets(socket: string, stack: AsyncDisposableStack) {
  const client = new SdsClient(socket);
  const stream = client.delta();
  stack.defer(() => {
    stream.call.cancel();
    client.close();
  });
  stream.send({ type_url: TYPE_URL, node: { id: 'bench' }, resource_names_subscribe: ['ROOTCA'] });
  const until = async (isSo: (response: Response) => boolean): Promise<number> => {
    for (;;) {
      const response = await stream.next();
      const at = performance.now();
      stream.send({ type_url: TYPE_URL, response_nonce: response.nonce });
      if (isSo(response)) return at;
    }
  };
  return {
    subscribe: async (name: string): Promise<number> => {
      stream.send({ type_url: TYPE_URL, resource_names_subscribe: [name] });
      return await until(({ secrets }) => secrets.some((secret) => secret.name === name));
    },
    removal: async (name: string): Promise<number> =>
      await until(({ removed }) => removed.includes(name)),
  };
}

type Response = Awaited<ReturnType<SdsTestStream['next']>>;
const TYPE_URL = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
