import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Domain } from '../test/programs/launch-domain.ts';
import { launchDomains } from '../test/programs/launch-domains.ts';
import { launchEnvoy } from '../test/programs/launch-envoy.ts';
import { renderBootstrap } from '../test/programs/render-bootstrap.ts';
import { trusting } from '../test/programs/sidecar-pair.ts';
import { type TrustedRoots, timeRoot } from '../test/programs/time-root.ts';
import { watchRoots } from '../test/programs/watch-roots.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';

const SAMPLES = 100;
const WARM_UP = 10;
/** Each sample is two bundles, and of one trust domain 20 a second are heard. */
const PAUSE_MS = 250;
const CLIENT = 'spiffe://b.test/client';

/** From the call that prepares a root to an SDS stream of another trust domain, over the NATS of both. */
export const rootToForeignStream: Benchmark = p99OfRuns({
  name: 'root_to_foreign_stream_p99_ms',
  about: `root prepared in one trust domain → on an open SDS stream of another, over the NATS of both; p99 of ${SAMPLES}`,
  limitMs: 250,
  measure: async (folder) =>
    await measure(folder, async ({ agent }, stack) => {
      const watch = await watchRoots(agent.socket, 'a.test');
      stack.defer(() => watch.close());
      return watch.roots;
    }),
});

/** The same to what a real Envoy there uses. */
export const rootToForeignEnvoy: Benchmark = p99OfRuns({
  name: 'root_to_foreign_envoy_p99_ms',
  about: `root prepared in one trust domain → in /certs of a real Envoy of another; p99 of ${SAMPLES}`,
  limitMs: 300,
  measure: async (folder) =>
    await measure(folder, async ({ agent }, stack) => {
      const bootstrap = await renderBootstrap('client-sidecar', {
        '127.0.0.1:9902': path.join(folder, 'envoy.admin'),
        '127.0.0.1:8081': path.join(folder, 'outbound.sock'),
        '127.0.0.1:8443': path.join(folder, 'server.sock'),
        'spiffe://example.org/client': CLIENT,
        '/run/trustplane/agent.sock': agent.socket,
      });
      const envoy = await launchEnvoy({
        bootstrap: trusting('spiffe://a.test', bootstrap),
        folder,
        folders: [path.dirname(agent.socket)],
        name: 'envoy',
      });
      stack.defer(async () => await envoy.stop());
      await envoy.waitReady();
      return async () => await envoy.authorities('a.test');
    }),
});

async function measure(
  folder: string,
  open: (there: Domain, stack: AsyncDisposableStack) => Promise<TrustedRoots>,
): Promise<number[]> {
  await using domains = await launchDomains(folder);
  await domains.b.createEntry(CLIENT, '--federates-with', 'a.test');
  await using stack = new AsyncDisposableStack();
  const roots = await open(domains.b, stack);
  const times: number[] = [];
  for (let sample = 0; sample < WARM_UP + SAMPLES; sample++) {
    const { tookMs } = await timeRoot(domains.a.authorities, roots);
    if (sample >= WARM_UP) times.push(tookMs);
    await delay(PAUSE_MS);
  }
  return times;
}
