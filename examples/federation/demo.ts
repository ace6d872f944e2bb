import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../test/programs/eventually.ts';
import { findEnvoy } from '../../test/programs/find-envoy.ts';
import { findNatsServer } from '../../test/programs/find-nats-server.ts';
import type { Federation } from '../../test/programs/launch-federation.ts';
import {
  envoysOf,
  launchFederation,
  startCrossTraffic,
} from '../../test/programs/launch-federation.ts';
import { rotateRoot } from '../../test/programs/rotate-root.ts';
import type { RotationWatch } from '../../test/programs/rotation-watch.ts';
import { watchRotations } from '../../test/programs/rotation-watch.ts';
import type { DemoOptions } from '../options.ts';
import { defaultSeconds } from '../options.ts';
import { runDemo } from '../run-demo.ts';
import type { View } from '../view.ts';
import type { Summary } from './summary.ts';
import { summarize, summaryText } from './summary.ts';
import type { FederationState } from './view.ts';
import { arrivalLine, drawing } from './view.ts';

/** Short, so that each root is replaced within seconds. */
const times = { x509SvidTtl: '5s', refreshHint: '2s' };
const drawMs = 200;

const usage = `npm run demo:federation -- [--seconds N] [--output text|json]

Starts two trust domains, each with a server, an agent, a nats-server and two Envoys, and sends
requests from each to the other while the root of the one is replaced again and again. Ends with
exit code 0 only if no request failed.

  --seconds N    how long requests flow (default ${defaultSeconds})
  --output json  print the summary as JSON, and progress on standard error`;

process.exitCode = await runDemo({ usage, drawing, run, summaryText }, process.argv.slice(2));

async function run(
  { seconds: totalSeconds }: DemoOptions,
  view: View<FederationState>,
  stopped: AbortSignal,
): Promise<Summary> {
  view.note('looking for Envoy and nats-server (the first time this may download them)');
  const [envoy, nats] = [await findEnvoy(), await findNatsServer()];
  view.note(`Envoy ${envoy.version} from ${envoy.origin}`);
  view.note(`nats-server ${nats.version} from ${nats.origin}`);
  view.note('starting two trust domains');
  await using federation = await launchFederation(times);
  const watches = Object.values(envoysOf(federation)).map((one) => watchRotations(one, () => {}));
  const traffic = startCrossTraffic(federation);
  const arrivalsMs: number[] = [];
  const over = new AbortController();
  const rotating = rotate(federation, watches, over.signal, (tookMs) => {
    arrivalsMs.push(tookMs);
    view.note(arrivalLine(tookMs));
  });
  const failed = Promise.race([federation.failed, rotating, ...watches.map((one) => one.failed)]);
  const begin = Date.now();
  const elapsed = () => (Date.now() - begin) / 1000;
  while (elapsed() < totalSeconds && !stopped.aborted) {
    const envoys = watches.map((watch) => watch.seen()).filter((one) => one !== undefined);
    const [elapsedSeconds, now] = [elapsed(), Date.now()];
    view.draw({ elapsedSeconds, totalSeconds, ...traffic.counts(), arrivalsMs, envoys, now });
    await Promise.race([delay(drawMs, undefined, { signal: stopped }).catch(() => {}), failed]);
  }
  const seconds = Math.round(elapsed() * 10) / 10;
  await traffic.stop();
  over.abort();
  for (const watch of watches) watch.stop();
  return await summarize(federation, { seconds, ...traffic.counts(), arrivalsMs });
}

/** Replaces the root of a.test again and again. Rejects when a step fails before it is over. */
async function rotate(
  { a, fromA }: Federation,
  watches: readonly RotationWatch[],
  signal: AbortSignal,
  onArrival: (tookMs: number) => void,
): Promise<void> {
  const seen = () => watches.every((watch) => watch.seen() !== undefined);
  await eventually('all Envoys present a certificate', seen);
  const ofA = watches.filter((watch) => watch.seen()?.spiffeId.startsWith('spiffe://a.test/'));
  const foreignRoots = async () => await fromA.server.authorities(a.name);
  while (!signal.aborted) {
    try {
      await rotateRoot(a, { foreignRoots, watches: ofA, onArrival, signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
