import { findEnvoy } from '../../test/programs/find-envoy.ts';
import type { DemoOptions } from '../options.ts';
import { runDemo } from '../run-demo.ts';
import type { View } from '../view.ts';
import { createCallers } from './callers.ts';
import { readEvidence } from './evidence.ts';
import { launchPlace } from './launch.ts';
import { createStory } from './story.ts';
import type { Summary } from './summary.ts';
import { summarize, summaryText } from './summary.ts';
import { variantNames, variantOf } from './variants.ts';
import type { RulesState } from './view.ts';
import { drawing } from './view.ts';

/** With what comes before and after half a minute at most. */
const seconds = 15;
const usage = `npm run demo:rbac -- [--variant rbac|check|both|draft] [--seconds N] [--output text|json]

Starts trustplane and an application behind two Envoys that decide by rules inside them. Edits a
rule again and again, kills the agent, takes an identity away, and says how long each took to both
Envoys. Ends with exit code 0 only if each request was answered as it should.

  --variant rbac   Envoy decides itself (default)
  --variant check  Envoy asks about each request
  --variant both   Envoy decides what it is sure of, and asks about the rest
  --variant draft  Envoy decides itself, and counts what a draft would do
  --seconds N      how long requests flow (default ${seconds})
  --output json    print the summary as JSON, and progress on standard error`;

const options = { variants: variantNames, seconds };
const demo = { usage, options, drawing, run, summaryText };
process.exitCode = await runDemo(demo, process.argv.slice(2));

async function run(
  { seconds: totalSeconds, variant: name }: DemoOptions,
  view: View<RulesState>,
  stopped: AbortSignal,
): Promise<Summary> {
  const variant = variantOf(name);
  view.note('looking for Envoy (the first time this may download it)');
  const envoy = await findEnvoy();
  view.note(`Envoy ${envoy.version} from ${envoy.origin}`);
  view.note(`${variant.name}: ${variant.about}`);
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await launchPlace(variant));
  const callers = await createCallers(place, stack);
  const story = createStory({ place, callers, view, totalSeconds });
  const told = story.tell(stopped);
  told.catch(() => {});
  const seen = await Promise.race([told, place.failed]);
  return summarize({ ...seen, ...(await readEvidence(place)) });
}
