import { ProgramMissingError } from '../test/programs/pip.ts';
import type { DemoOptions, OptionsOfDemo } from './options.ts';
import { parseOptions } from './options.ts';
import type { Drawing, View } from './view.ts';
import { createLines, createScreen } from './view.ts';

/** A program that shows something for a while and judges how it went. */
export interface Demo<State, Summary extends { readonly passed: boolean }> {
  readonly usage: string;
  readonly options?: OptionsOfDemo;
  readonly drawing: Drawing<State>;
  /** Ends early when `stopped` aborts. */
  run(options: DemoOptions, view: View<State>, stopped: AbortSignal): Promise<Summary>;
  /** The summary for people. */
  summaryText(summary: Summary): string;
}

/** Runs it as the arguments say; returns the exit code: 0 passed, 1 did not, 2 for wrong arguments. */
export async function runDemo<State, Summary extends { readonly passed: boolean }>(
  demo: Demo<State, Summary>,
  args: readonly string[],
): Promise<number> {
  let options: DemoOptions | 'help';
  try {
    options = parseOptions(args, demo.options ?? {});
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${problem}\n\n${demo.usage}\n`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(`${demo.usage}\n`);
    return 0;
  }
  const view = createView(options, demo.drawing);
  try {
    const summary = await demo.run(options, view, stopSignal());
    view.close();
    const text = options.output === 'json' ? JSON.stringify(summary) : demo.summaryText(summary);
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

function createView<State>(options: DemoOptions, drawing: Drawing<State>): View<State> {
  if (options.output === 'json') return createLines(process.stderr, drawing);
  if (process.stdout.isTTY) return createScreen(process.stdout, drawing);
  return createLines(process.stdout, drawing);
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
