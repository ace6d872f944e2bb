import { expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { envoysOf, launchFederation, startCrossTraffic } from '../programs/launch-federation.ts';
import { rotateRoot } from '../programs/rotate-root.ts';
import { watchRotations } from '../programs/rotation-watch.ts';

/** `ROUNDS=20 npm run drill:federation` for a longer drill. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);

it(
  `replaces the root of one trust domain ${ROUNDS} times under mTLS between two, both ways, with SVIDs of 6 s; no request fails`,
  async () => {
    await using federation = await launchFederation({ x509SvidTtl: '6s', refreshHint: '2s' });
    await using stack = new AsyncDisposableStack();
    const { a, fromA, fromB } = federation;
    const watches = Object.values(envoysOf(federation)).map((envoy) =>
      watchRotations(envoy, () => {}),
    );
    stack.defer(() => watches.forEach((watch) => watch.stop()));
    await eventually('all Envoys present a certificate', () =>
      watches.every((watch) => watch.seen() !== undefined),
    );
    const ofA = watches.filter((watch) => watch.seen()?.spiffeId.startsWith('spiffe://a.test/'));
    expect(ofA.length).toBe(2);
    const traffic = startCrossTraffic(federation);
    stack.defer(async () => await traffic.stop());
    const foreignRoots = async () => await fromA.server.authorities('a.test');
    const took: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      took.push(await rotateRoot(a, { foreignRoots, watches: ofA }));
      for (const [from, { failures }] of Object.entries(traffic.counts()))
        expect(failures, `round ${round}, ${from}`).toEqual([]);
    }
    await traffic.stop();
    const counts = traffic.counts();
    for (const { ok, failures } of Object.values(counts)) {
      expect(failures).toEqual([]);
      expect(ok).toBeGreaterThan(20 * ROUNDS);
    }
    const all = took.map((ms) => ms.toFixed(0)).join(', ');
    const { ok } = counts.fromB;
    console.log(`federation drill: ${counts.fromA.ok + ok} requests; root in B after ${all} ms`);
    expect(await fromB.client.authorities('a.test')).toEqual(await foreignRoots());
  },
  120_000 + ROUNDS * 30_000,
);
