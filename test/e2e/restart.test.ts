import { expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { launchMesh } from '../programs/launch-mesh.ts';
import { launchTrustplane, runTrustplane } from '../programs/launch-trustplane.ts';
import { watchRotations } from '../programs/rotation-watch.ts';
import { startTraffic } from '../programs/traffic.ts';

it('is killed and comes back: same authority, same entries, Envoy goes on', async () => {
  await using mesh = await launchMesh('sotw', '--x509-svid-ttl', '8s');
  await mesh.register();
  const { adminSocket } = mesh.trustplane;
  const facts = async () => {
    const options = ['--admin-socket', adminSocket, '--output', 'json'];
    const bundle = await runTrustplane('bundle', 'show', ...options);
    const entries = await runTrustplane('entry', 'show', ...options);
    expect([bundle.code, entries.code]).toEqual([0, 0]);
    return { bundle: bundle.stdout, entries: entries.stdout };
  };
  const before = await facts();
  const traffic = startTraffic(mesh.pair);
  const watch = watchRotations(mesh.pair.server, () => {});
  const first = await eventually('Envoy presents a certificate', () => watch.seen());

  mesh.trustplane.kill('SIGKILL');
  expect(await mesh.trustplane.ended).toBe('SIGKILL');
  const requestsBefore = traffic.counts().ok;
  await eventually('requests flow without trustplane', () =>
    traffic.counts().ok > requestsBefore + 10 ? true : undefined,
  );
  const again = await launchTrustplane(mesh.folder, '--x509-svid-ttl', '8s');
  try {
    const renewed = await eventually('Envoy presents a new certificate', () => {
      const seen = watch.seen();
      return seen?.serialNumber === first.serialNumber ? undefined : seen;
    });
    expect(renewed.authority).toBe(first.authority);
    expect(await facts()).toEqual(before);
    watch.stop();
    await traffic.stop();
    expect(traffic.counts().failures).toEqual([]);
  } finally {
    await again.stop();
  }
});
