import { setTimeout as delay } from 'node:timers/promises';
import { findEnvoy } from '../../test/programs/find-envoy.ts';
import { launchMesh } from '../../test/programs/launch-mesh.ts';
import type { Seen } from '../../test/programs/rotation-watch.ts';
import { watchRotations } from '../../test/programs/rotation-watch.ts';
import { startTraffic } from '../../test/programs/traffic.ts';
import type { DemoOptions } from '../options.ts';
import { defaultSeconds } from '../options.ts';
import { runDemo } from '../run-demo.ts';
import type { View } from '../view.ts';
import type { Summary } from './summary.ts';
import { summarize, summaryText } from './summary.ts';
import type { DemoState } from './view.ts';
import { drawing, rotationLine } from './view.ts';

/** Short lives, so that a rotation comes every few seconds. */
const lives = ['--x509-svid-ttl', '5s', '--ca-ttl', '24s', '--log-level', 'warn'];
const drawMs = 200;

const usage = `npm run demo -- [--seconds N] [--output text|json]

Starts trustplane and two Envoys that talk mTLS with certificates that live 5 seconds, sends
requests through them and counts what fails. Ends with exit code 0 only if nothing did.

  --seconds N    how long requests flow (default ${defaultSeconds})
  --output json  print the summary as JSON, and progress on standard error`;

process.exitCode = await runDemo({ usage, drawing, run, summaryText }, process.argv.slice(2));

async function run(
  options: DemoOptions,
  view: View<DemoState>,
  stopped: AbortSignal,
): Promise<Summary> {
  view.note('looking for Envoy (the first time this may download it)');
  const envoy = await findEnvoy();
  view.note(`Envoy ${envoy.version} from ${envoy.origin}`);
  await using mesh = await launchMesh('sotw', ...lives);
  await mesh.register();
  const traffic = startTraffic(mesh.pair);
  const note = (seen: Seen) => view.note(rotationLine(seen, Date.now()));
  const watches = [mesh.pair.client, mesh.pair.server].map((envoy) => watchRotations(envoy, note));
  const seen = () => watches.map((watch) => watch.seen()).filter((one) => one !== undefined);
  const begin = Date.now();
  const elapsed = () => (Date.now() - begin) / 1000;
  const failed = Promise.race([mesh.failed, ...watches.map(async (watch) => await watch.failed)]);
  while (elapsed() < options.seconds && !stopped.aborted) {
    const [elapsedSeconds, requests, now] = [elapsed(), traffic.counts(), Date.now()];
    view.draw({ elapsedSeconds, totalSeconds: options.seconds, requests, envoys: seen(), now });
    await Promise.race([delay(drawMs, undefined, { signal: stopped }).catch(() => {}), failed]);
  }
  const seconds = Math.round(elapsed() * 10) / 10;
  await traffic.stop();
  for (const watch of watches) watch.stop();
  return await summarize(mesh.pair, seconds, traffic.counts(), seen());
}
