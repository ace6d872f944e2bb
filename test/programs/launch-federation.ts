import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Domain, DomainOptions } from './launch-domain.ts';
import { launchDomains } from './launch-domains.ts';
import type { RunningEnvoy } from './launch-envoy.ts';
import { createRunFolder } from './run-folder.ts';
import { launchSidecars, type SidecarPair } from './sidecar-pair.ts';
import { startTraffic, type TrafficCounts } from './traffic.ts';

/** Two trust domains, four Envoys, and clients of each that call servers of the other. */
export interface Federation extends AsyncDisposable {
  readonly a: Domain;
  readonly b: Domain;
  /** The client in a.test, its server in b.test. */
  readonly fromA: SidecarPair;
  /** The client in b.test, its server in a.test. */
  readonly fromB: SidecarPair;
  /** Rejects when one of the programs ends by itself; never resolves. */
  readonly failed: Promise<never>;
}

/** Starts it all, in a folder of its own; resolves when all Envoys are live. */
export async function launchFederation(
  options: Pick<DomainOptions, 'x509SvidTtl' | 'refreshHint'> = {},
): Promise<Federation> {
  await using starting = new AsyncDisposableStack();
  const run = createRunFolder();
  starting.defer(async () => await run.remove());
  const { a, b } = starting.use(await launchDomains(run.path, options));
  await Promise.all([createEntries(a, b), createEntries(b, a)]);
  const [fromA, fromB] = await Promise.all(
    (
      [
        ['ab', a, b],
        ['ba', b, a],
      ] as const
    ).map(async ([name, client, server]) => {
      const pair = await launchPair(path.join(run.path, name), client, server);
      starting.defer(async () => await pair.stop());
      await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
      return pair;
    }),
  );
  if (fromA === undefined || fromB === undefined) throw new Error('two pairs');
  const failed = endOfAny(envoysOf({ fromA, fromB }));
  failed.catch(() => {});
  const stack = starting.move();
  const close = async (): Promise<void> => await stack.disposeAsync();
  return { a, b, fromA, fromB, failed, [Symbol.asyncDispose]: close };
}

/** An entry for a client and for a server, which trust the other trust domain. */
async function createEntries(domain: Domain, { name }: Domain): Promise<void> {
  for (const role of ['client', 'server'])
    await domain.createEntry(`spiffe://${domain.name}/${role}`, '--federates-with', name);
}

async function launchPair(folder: string, client: Domain, server: Domain): Promise<SidecarPair> {
  mkdirSync(folder);
  return await launchSidecars({
    folder,
    agentSocket: { client: client.agent.socket, server: server.agent.socket },
    clientId: `spiffe://${client.name}/client`,
    serverId: `spiffe://${server.name}/server`,
    protocol: 'sotw',
    context: 'ALL',
  });
}

/** The four, each by whose it is. */
export function envoysOf({
  fromA,
  fromB,
}: Pick<Federation, 'fromA' | 'fromB'>): Readonly<Record<string, RunningEnvoy>> {
  return {
    'client of A': fromA.client,
    'server of A': fromB.server,
    'client of B': fromB.client,
    'server of B': fromA.server,
  };
}

async function endOfAny(envoys: Readonly<Record<string, RunningEnvoy>>): Promise<never> {
  const ends = Object.entries(envoys).map(async ([name, envoy]) => {
    const how = await envoy.ended;
    return `the Envoy of the ${name} ended with ${how}:\n${envoy.lines.slice(-20).join('\n')}`;
  });
  throw new Error(await Promise.race(ends));
}

/** Requests of both directions that flow until they are stopped. */
export interface CrossTraffic {
  counts(): { readonly fromA: TrafficCounts; readonly fromB: TrafficCounts };
  /** Resolves when the requests under way have ended. */
  stop(): Promise<void>;
}

export function startCrossTraffic({
  fromA,
  fromB,
}: Pick<Federation, 'fromA' | 'fromB'>): CrossTraffic {
  const [a, b] = [startTraffic(fromA), startTraffic(fromB)];
  return {
    counts: () => ({ fromA: a.counts(), fromB: b.counts() }),
    stop: async () => void (await Promise.all([a.stop(), b.stop()])),
  };
}
