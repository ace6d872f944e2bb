import { setTimeout as delay } from 'node:timers/promises';
import { findEnvoy } from '../../test/programs/find-envoy.ts';
import { launchMesh } from '../../test/programs/launch-mesh.ts';
import { ProgramMissingError } from '../../test/programs/pip.ts';
import type { Seen } from '../../test/programs/rotation-watch.ts';
import { watchRotations } from '../../test/programs/rotation-watch.ts';
import { startTraffic } from '../../test/programs/traffic.ts';
import type { DemoOptions } from './options.ts';
import { parseOptions, usage } from './options.ts';
import type { Summary } from './summary.ts';
import { summarize, summaryText } from './summary.ts';
import type { View } from './view.ts';
import { createLines, createScreen, rotationLine } from './view.ts';

/** Short lives, so that a rotation comes every few seconds. */
const lives = ['--x509-svid-ttl', '5s', '--ca-ttl', '24s', '--log-level', 'warn'];
const drawMs = 200;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions | 'help';
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const view = createView(options);
  try {
    const summary = await run(options, view, stopSignal());
    view.close();
    const text = options.output === 'json' ? JSON.stringify(summary) : summaryText(summary);
    process.stdout.write(`${text}\n`);
    return summary.passed ? 0 : 1;
  } catch (error) {
    view.close();
    const known = error instanceof ProgramMissingError;
    process.stderr.write(
      `${known ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
    );
    return 1;
  }
}

function createView(options: DemoOptions): View {
  if (options.output === 'json') return createLines(process.stderr);
  return process.stdout.isTTY ? createScreen(process.stdout) : createLines(process.stdout);
}

/**
 * Aborts at the first signal, which ends the demo in order; one that comes a second later ends it at
 * once. (npm passes on a signal that the terminal has sent already.)
 */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let first = Infinity;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (performance.now() > first + 1000) process.exit(130);
      first = Math.min(first, performance.now());
      controller.abort();
    });
  return controller.signal;
}

async function run(options: DemoOptions, view: View, stopped: AbortSignal): Promise<Summary> {
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
