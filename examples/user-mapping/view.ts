import type { Drawing } from '../view.ts';
import type { Counted } from './summary.ts';

/** What a view is drawn from. */
export interface MappingState {
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly checks: readonly Counted[];
  readonly editsMs: readonly number[];
}

/** The screen, and the counts. */
export const drawing: Drawing<MappingState> = {
  screen: (state) => [
    `trustplane users   ${state.elapsedSeconds.toFixed(0)} s of ${state.totalSeconds} s   Ctrl-C ends it`,
    '',
    '  caller == mTLS ==> Envoy -> application      may it? as whom? -> trustplane',
    '',
    ...state.checks.map(
      (check) => `  ${checkLine(check, check.expected)}   ${check.failures.length} failed`,
    ),
    '',
    `  ${countsLine(state)}`,
  ],
  line: countsLine,
  elapsedSeconds: ({ elapsedSeconds }) => elapsedSeconds,
};

/** What came of a check. */
export function checkLine(
  { name, expected }: Pick<Counted, 'name' | 'expected'>,
  seen: string,
): string {
  const fault = seen === expected ? '' : `   EXPECTED ${expected}`;
  return `${name.padEnd(38)} ${seen}${fault}`;
}

function countsLine({ checks, editsMs }: MappingState): string {
  const failed = checks.reduce((sum, { failures }) => sum + failures.length, 0);
  const requests = checks.reduce((sum, { times }) => sum + times, 0);
  return `requests ${requests - failed} as they should, ${failed} not   policies edited ${editsMs.length} times`;
}
