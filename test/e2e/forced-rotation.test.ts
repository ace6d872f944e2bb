import { expect, it } from 'vitest';
import { createWorkloadApiClient, type X509WatchEvent } from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { eventually } from '../programs/eventually.ts';
import { launchFleet } from '../programs/launch-fleet.ts';
import { canLayNetworks } from '../programs/network-hosts.ts';
import { watchRotations } from '../programs/rotation-watch.ts';
import { startTraffic } from '../programs/traffic.ts';

/** `ROUNDS=100 npm run drill:rotation` for a longer drill. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 20);

/** Connections to the agent and streams on them, since Envoy started. */
const STREAMS = 'cluster.trustplane_agent.upstream_(cx|rq)_total';

it.skipIf(!(await canLayNetworks()))(
  `replaces the authority by force ${ROUNDS} times under traffic; no stream ends, no identity is missing, no request fails`,
  async () => {
    await using fleet = await launchFleet();
    await using stack = new AsyncDisposableStack();
    const envoys = [fleet.pair.client, fleet.pair.server];
    const watches = envoys.map((envoy) => watchRotations(envoy, () => {}));
    stack.defer(() => watches.forEach((watch) => watch.stop()));
    await eventually(
      'both Envoys present a certificate',
      () => watches.every((watch) => watch.seen() !== undefined) || undefined,
    );
    const traffic = startTraffic(fleet.pair);
    stack.defer(async () => await traffic.stop());
    const events = watchIdentities(fleet.agents.alpha.socket, stack);
    const streamsBefore = await Promise.all(
      envoys.map(async (envoy) => await envoy.stats(STREAMS)),
    );

    for (let round = 0; round < ROUNDS; round++) {
      const old = await fleet.authorityIn('active');
      await fleet.ask('authority', 'x509', 'prepare');
      const next = await fleet.authorityIn('prepared');
      await fleet.ask('authority', 'x509', 'activate', next, '--wait', '30s');
      await fleet.ask('authority', 'x509', 'taint', old);
      await eventually(
        'both Envoys present certificates of the new authority',
        () => watches.every((watch) => (watch.seen()?.caRotations ?? 0) > round) || undefined,
        { timeoutMs: 30_000 },
      );
      await fleet.ask('authority', 'x509', 'revoke', old);
      expect(traffic.counts().failures, `round ${round}`).toEqual([]);
    }

    await traffic.stop();
    expect(traffic.counts().failures).toEqual([]);
    expect(traffic.counts().ok).toBeGreaterThan(100);
    const kinds = events.map((event) => event.type);
    expect(new Set(kinds)).toEqual(new Set(['update']));
    const streams = await Promise.all(envoys.map(async (envoy) => await envoy.stats(STREAMS)));
    expect(streams).toEqual(streamsBefore);
    const { ok } = traffic.counts();
    console.log(`forced rotation: ${ROUNDS} rounds, ${ok} requests, ${kinds.length} updates`);
  },
  90_000 + ROUNDS * 15_000,
);

/** Everything that a workload on one stream of the Workload API sees. */
function watchIdentities(socket: string, stack: AsyncDisposableStack): readonly X509WatchEvent[] {
  const address = { kind: 'unix', path: socket } as const;
  const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
  const stopped = new AbortController();
  const events: X509WatchEvent[] = [];
  const reading = (async () => {
    for await (const event of client.watchX509(stopped.signal)) events.push(event);
  })();
  stack.defer(async () => {
    stopped.abort();
    await reading;
    client.close();
  });
  return events;
}
