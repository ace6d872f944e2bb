import type { Spire } from '../../test/programs/spire/find-spire.ts';
import {
  type InteropPlace,
  type Lives,
  type Makers,
  openInteropPlace,
} from '../../test/programs/spire/interop-place.ts';

/** Steps on one world, in their order; each rejects with what was not as it should be. */
export interface Drill<World> {
  readonly name: string;
  readonly lives: Lives;
  open(place: InteropPlace, stack: AsyncDisposableStack): Promise<World>;
  /** After each step. */
  check(world: World): void;
  /** Printed at the end. */
  summary?(world: World): string;
  readonly steps: Readonly<Record<string, (world: World) => Promise<void>>>;
}

/** Runs all steps, whatever fails, and reports each; returns how many failed. */
export async function runDrill<World>(
  drill: Drill<World>,
  spire: Spire,
  makers: Makers,
): Promise<number> {
  process.stdout.write(`${makers.agent} agent, ${makers.server} server: ${drill.name}\n`);
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await openInteropPlace(spire, makers, drill.lives));
  return await runSteps(drill, await drill.open(place, stack), () => place.logs());
}

/** The same on a world that is open; of `logs` the last lines are printed where something failed. */
export async function runSteps<World>(
  drill: Pick<Drill<World>, 'check' | 'summary' | 'steps'>,
  world: World,
  logs: () => ReadonlyMap<string, readonly string[]>,
): Promise<number> {
  let failed = 0;
  for (const [name, step] of Object.entries(drill.steps)) {
    const fault = await step(world)
      .then(() => drill.check(world))
      .then(() => undefined, explain);
    process.stdout.write(fault === undefined ? `  ok: ${name}\n` : `  FAILED: ${name}: ${fault}\n`);
    if (fault === undefined) continue;
    failed += 1;
    printLogs(logs());
  }
  if (drill.summary !== undefined) process.stdout.write(`  ${drill.summary(world)}\n`);
  return failed;
}

const LINES = 20;

function printLogs(logs: ReadonlyMap<string, readonly string[]>): void {
  for (const [name, lines] of logs)
    process.stdout.write(
      `    ${name}:\n${lines
        .slice(-LINES)
        .map((line) => `      ${line}\n`)
        .join('')}`,
    );
}

/** An error and what caused it. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${explain(error.cause)})`;
}
