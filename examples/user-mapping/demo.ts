import { findEnvoy } from '../../test/programs/find-envoy.ts';
import type { DemoOptions } from '../options.ts';
import { defaultSeconds } from '../options.ts';
import { runDemo } from '../run-demo.ts';
import type { View } from '../view.ts';
import { createChecks } from './checks.ts';
import { launchPlace } from './launch.ts';
import { dismissJob, editPolicy } from './policy-edit.ts';
import type { Summary } from './summary.ts';
import { summarize, summaryText } from './summary.ts';
import type { MappingState } from './view.ts';
import { checkLine, drawing } from './view.ts';

const usage = `npm run demo:user-mapping -- [--seconds N] [--output text|json]

Starts trustplane, an application behind Envoy that is told its user by the caller's SPIFFE ID, a
person and a CI job that call it, and tries to be somebody else. Ends with exit code 0 only if
each request was answered as it should.

  --seconds N    how long requests flow (default ${defaultSeconds})
  --output json  print the summary as JSON, and progress on standard error`;

process.exitCode = await runDemo({ usage, drawing, run, summaryText }, process.argv.slice(2));

async function run(
  { seconds: totalSeconds }: DemoOptions,
  view: View<MappingState>,
  stopped: AbortSignal,
): Promise<Summary> {
  view.note('looking for Envoy (the first time this may download it)');
  const envoy = await findEnvoy();
  view.note(`Envoy ${envoy.version} from ${envoy.origin}`);
  await using place = await launchPlace();
  const { all, job } = await createChecks(place);
  const checks = all.map((check) => ({ ...check, times: 0, failures: [] as string[] }));
  const editsMs: number[] = [];
  const begin = Date.now();
  const elapsed = (): number => (Date.now() - begin) / 1000;
  const round = async (): Promise<void> => {
    for (const check of checks) {
      const seen = await check.attempt();
      check.times += 1;
      if (seen !== check.expected) check.failures.push(seen);
      if (check.times === 1 || seen !== check.expected) view.note(checkLine(check, seen));
    }
    for (const mayWrite of [true, false]) {
      const tookMs = await editPolicy(place, job, mayWrite);
      if (editsMs.push(tookMs) <= 2)
        view.note(
          `jobs may ${mayWrite ? '' : 'no longer '}open issues: obeyed ${tookMs.toFixed(0)} ms after the edit`,
        );
    }
  };
  do {
    await Promise.race([round(), place.failed]);
    view.draw({ elapsedSeconds: elapsed(), totalSeconds, checks, editsMs });
  } while (elapsed() < totalSeconds && !stopped.aborted);
  const seconds = Math.round(elapsed() * 10) / 10;
  const dismissedMs = await dismissJob(place, job);
  return summarize({ seconds, checks, editsMs, dismissedMs });
}
