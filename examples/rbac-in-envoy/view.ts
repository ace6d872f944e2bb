import type { Drawing } from '../view.ts';
import type { Times } from './edits.ts';
import type { DraftCount } from './evidence.ts';
import type { Counted } from './summary.ts';
import { draftText, medianOf, timesText } from './summary.ts';
import type { Variant } from './variants.ts';

/** What a view is drawn from. */
export interface RulesState {
  readonly variant: Variant;
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly checks: readonly Counted[];
  readonly editsMs: readonly Times[];
  readonly draft: readonly DraftCount[];
  /** What happened, the latest last. */
  readonly events: readonly string[];
}

const SHOWN_EVENTS = 6;
const pictures: Readonly<Record<Variant['name'], string>> = {
  rbac: 'caller == mTLS ==> Envoy [rules] -> shop    rules <- agent <- *.yaml',
  check: 'caller == mTLS ==> Envoy -> shop    may it? -> agent <- *.yaml',
  both: 'caller == mTLS ==> Envoy [rules] -> shop    not sure? -> agent <- *.yaml',
  draft: 'caller == mTLS ==> Envoy [rules, draft] -> shop    both <- agent <- *.yaml',
};

/** The screen, and the counts. */
export const drawing: Drawing<RulesState> = {
  screen: (state) => [
    `trustplane rules in Envoy   ${state.elapsedSeconds.toFixed(0)} s of ${state.totalSeconds} s   Ctrl-C ends it`,
    '',
    `  ${pictures[state.variant.name]}`,
    `  ${state.variant.about}`,
    '',
    ...state.checks.map(
      (check) =>
        `  ${checkLine(check, [check.expected])}   ${check.times} times, ${check.failures.length} failed`,
    ),
    '',
    `  ${editsLine(state)}`,
    ...state.draft.map((count) => `  draft: ${draftText(count)}`),
    '',
    ...state.events.slice(-SHOWN_EVENTS).map((event) => `  ${event}`),
  ],
  line: (state) => {
    const failed = state.checks.reduce((sum, { failures }) => sum + failures.length, 0);
    const requests = state.checks.reduce((sum, { times }) => sum + times, 0);
    return `requests ${requests - failed} as they should, ${failed} not   ${editsLine(state)}`;
  },
  elapsedSeconds: ({ elapsedSeconds }) => elapsedSeconds,
};

/** What came of a check at the Envoys. */
export function checkLine(
  { name, expected }: Pick<Counted, 'name' | 'expected'>,
  seen: readonly string[],
): string {
  const fault = seen.every((one) => one === expected) ? '' : `   EXPECTED ${expected}`;
  return `${name.padEnd(38)} ${[...new Set(seen)].join(', ')}${fault}`;
}

function editsLine({ editsMs }: RulesState): string {
  const last = editsMs.at(-1);
  if (last === undefined) return 'no edit yet';
  return (
    `${editsMs.length} edits, saved -> obeyed: ${timesText(last)} at the two Envoys, ` +
    `median ${medianOf(editsMs, 0)} and ${medianOf(editsMs, 1)}`
  );
}
