import { describe, expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { launchMesh } from '../programs/launch-mesh.ts';
import { type RotationWatch, watchRotations } from '../programs/rotation-watch.ts';
import { startTraffic } from '../programs/traffic.ts';
import { launchVariant } from './launch-variant.ts';

describe.concurrent.each(['sotw', 'delta'] as const)('two Envoys over %s SDS', (protocol) => {
  it('rotate certificates and authorities without a failed request (SDS-15)', async () => {
    const lives = ['--x509-svid-ttl', '4s', '--ca-ttl', '18s'];
    await using mesh = await launchMesh(protocol, ...lives);
    await mesh.register();
    const traffic = startTraffic(mesh.pair);
    const watches = [mesh.pair.client, mesh.pair.server].map((envoy) =>
      watchRotations(envoy, () => {}),
    );
    const failures = [mesh.failed, ...watches.map(async (watch) => await watch.failed)];
    await Promise.race([untilRotated(watches), ...failures]);
    for (const watch of watches) watch.stop();
    await traffic.stop();
    expect(traffic.counts().failures).toEqual([]);
    expect(traffic.counts().ok).toBeGreaterThan(100);
    for (const envoy of [mesh.pair.client, mesh.pair.server]) {
      const stats = await envoy.stats('update_rejected|ssl.connection_error|fail_verify|reused');
      expect([...stats].filter(([, value]) => value !== 0)).toEqual([]);
    }
  }, 60_000);

  it('wait for their entries, and get them on the stream they opened (SDS-9)', async () => {
    await using mesh = await launchMesh(protocol);
    const envoys = [mesh.pair.client, mesh.pair.server];
    for (const envoy of envoys)
      await eventually('Envoy has asked for both secrets', async () => {
        const stats = await envoy
          .stats('^sds.*connected_state|^sds.*update_attempt')
          .catch(() => undefined);
        return stats?.size === 4 && [...stats.values()].every((value) => value > 0)
          ? true
          : undefined;
      });
    const before = await Promise.all(envoys.map(async (envoy) => await streamsOf(envoy)));
    await mesh.register();
    expect((await mesh.pair.request()).status).toBe(200);
    expect(await Promise.all(envoys.map(async (envoy) => await streamsOf(envoy)))).toEqual(before);
  });
});

it('an Envoy that waits no longer than by default is live with its secrets (SDS-21)', async () => {
  await using mesh = await launchMesh('sotw');
  await mesh.register();
  const { envoy } = await launchVariant(mesh, (bootstrap) =>
    bootstrap.replaceAll(/^ *initial_fetch_timeout: 0s\n/gm, ''),
  );
  try {
    await envoy.waitReady();
    expect(await envoy.secrets()).toHaveLength(2);
    const waits = await envoy.stats('init_fetch_timeout|secrets_not_ready');
    expect(waits.size).toBeGreaterThanOrEqual(3);
    expect([...waits].filter(([, value]) => value !== 0)).toEqual([]);
  } finally {
    await envoy.stop();
  }
});

async function untilRotated(watches: readonly RotationWatch[]): Promise<void> {
  await eventually(
    'three certificates and a second authority in both Envoys',
    () =>
      watches.every(({ seen }) => {
        const now = seen();
        return now !== undefined && now.rotations >= 3 && now.caRotations >= 1;
      }) || undefined,
    { timeoutMs: 45_000, everyMs: 100 },
  );
}

/** Connections to the agent and streams on them, since Envoy started. */
async function streamsOf(envoy: {
  stats(pattern: string): Promise<ReadonlyMap<string, number>>;
}): Promise<ReadonlyMap<string, number>> {
  return await envoy.stats('cluster.trustplane_agent.upstream_(cx|rq)_total');
}
