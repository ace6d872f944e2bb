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
    if (fault === undefined) process.stdout.write(`  ok: ${name}\n`);
    else failed += reportFault(name, fault, logs());
  }
  if (drill.summary !== undefined) process.stdout.write(`  ${drill.summary(world)}\n`);
  return failed;
}

const LINES = 20;

/** Prints what failed, with the last lines of each program; returns 1, to be added to those that failed. */
export function reportFault(
  name: string,
  fault: string,
  logs: ReadonlyMap<string, readonly string[]>,
): number {
  process.stdout.write(`  FAILED: ${name}: ${fault}\n`);
  for (const [program, lines] of logs)
    process.stdout.write(
      `    ${program}:\n${lines
        .slice(-LINES)
        .map((line) => `      ${line}\n`)
        .join('')}`,
    );
  return 1;
}

/** An error and what caused it. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${explain(error.cause)})`;
}
