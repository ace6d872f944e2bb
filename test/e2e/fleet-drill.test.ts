import { expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { agentNames, launchFleet } from '../programs/launch-fleet.ts';
import { canLayNetworks } from '../programs/network-hosts.ts';
import { type RotationWatch, watchRotations } from '../programs/rotation-watch.ts';
import { startTraffic } from '../programs/traffic.ts';

/** `ROUNDS=20 npm run drill:fleet` for a longer drill. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 1);

it.skipIf(!(await canLayNetworks()))(
  'three hosts: server and agents are killed in mid-rotation and no request fails',
  async () => {
    await using fleet = await launchFleet('--x509-svid-ttl', '20s', '--ca-ttl', '120s');
    await using stack = new AsyncDisposableStack();
    const traffic = startTraffic(fleet.pair);
    stack.defer(async () => await traffic.stop());
    const watches = [fleet.pair.client, fleet.pair.server].map((envoy) =>
      watchRotations(envoy, () => {}),
    );
    stack.defer(() => watches.forEach((watch) => watch.stop()));
    await rotated(watches, 'the first certificates');

    for (let round = 0; round < ROUNDS; round++) {
      // In mid-rotation: the next authority is prepared and published, and not active yet.
      await fleet.ask('authority', 'x509', 'prepare');
      await fleet.server.kill();
      // Agents come back while there is no server, out of what they keep sealed.
      for (const name of agentNames) {
        await fleet.agents[name].kill();
        await fleet.agents[name].start();
      }
      expect((await fleet.pair.request()).status).toBe(200);
      await fleet.server.start();
      const authority = await fleet.authorityIn('prepared');
      await fleet.ask('authority', 'x509', 'activate', authority, '--wait', '30s');
      await eventually(
        'both Envoys present certificates of the new authority',
        () => watches.every((watch) => (watch.seen()?.caRotations ?? 0) > round) || undefined,
        { timeoutMs: 30_000 },
      );
      expect(traffic.counts().failures, `round ${round}`).toEqual([]);
    }
    await traffic.stop();
    expect(traffic.counts().failures).toEqual([]);
    expect(traffic.counts().ok).toBeGreaterThan(100);
    console.log(`fleet drill: ${ROUNDS} rounds, ${traffic.counts().ok} requests, 0 failed`);
  },
  60_000 + ROUNDS * 60_000,
);

async function rotated(watches: readonly RotationWatch[], what: string): Promise<void> {
  await eventually(what, () => watches.every((watch) => watch.seen() !== undefined) || undefined);
}
