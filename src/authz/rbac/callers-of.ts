import { expandIds } from '../find-contradictions.ts';
import { Pattern } from '../pattern.ts';
import type { Policy, PolicyRule } from '../policy.ts';
import { isInShare } from '../stages.ts';

/** Who is meant; undefined `ids`: anyone, also nobody who is known. */
export interface Callers {
  readonly ids: readonly Pattern[] | undefined;
  readonly except: readonly Pattern[];
}

/** Callers of whom a rule certainly takes effect, and all those of whom it may. */
export interface CallerBounds {
  readonly sure: Callers | undefined;
  readonly maybe: Callers | undefined;
  /** Why they are not the same. */
  readonly why: string | undefined;
}

const known: readonly Pattern[] = [Pattern.restore('spiffe://*/**', '/')];

/** Callers by certificate; whoever comes with a token is for Check. `asEnforced`: whatever the stage. */
export function callersOf(rule: PolicyRule, policy: Policy, asEnforced: boolean): CallerBounds {
  const callers = writtenCallers(rule, policy);
  if (callers === undefined) {
    const why = 'callers with tokens are decided by Check';
    return { sure: undefined, maybe: undefined, why };
  }
  const { mode } = policy;
  return asEnforced || mode === undefined || mode.stage === 'enforce'
    ? { sure: callers, maybe: callers, why: undefined }
    : stagedCallers(callers, mode);
}

function writtenCallers({ from }: PolicyRule, { sets }: Policy): Callers | undefined {
  if (from === 'anyone') return { ids: undefined, except: [] };
  if (from === 'authenticated') return { ids: known, except: [] };
  if (from.credentials?.includes('x509-svid') === false) return undefined;
  const except = expandIds(from.except ?? [], sets);
  const ids = expandIds(from.ids, sets);
  return except.length === 0 ? { ids, except } : withoutExceptions(ids, except);
}

/** Exact IDs are in or out; of patterns it is left to be seen. */
function withoutExceptions(ids: readonly Pattern[], except: readonly Pattern[]): Callers {
  const left = ids.filter(
    ({ isExact, text }) => !isExact || !except.some((pattern) => pattern.matches(text)),
  );
  return { ids: left, except: left.every(({ isExact }) => isExact) ? [] : except };
}

function stagedCallers(callers: Callers, mode: NonNullable<Policy['mode']>): CallerBounds {
  const percent = mode.stage === 'canary' ? (mode.percent ?? 0) : 0;
  const mayBePromoted = mode.promoteAfter !== undefined;
  const why = mayBePromoted
    ? 'the policy is enforced once promoteAfter is met, which Check finds out'
    : 'who is in the share of a canary is found out by Check';
  const ids = callers.ids ?? known;
  const sure = { ...callers, ids: inShare(ids, percent, percent === 100) };
  if (mayBePromoted) return { sure, maybe: callers, why };
  const maybe = { ...callers, ids: inShare(ids, percent, percent > 0) };
  return { sure, maybe, why: sure.ids.length === maybe.ids.length ? undefined : why };
}

/** The exact IDs whose share it is, and all patterns or none. */
function inShare(
  ids: readonly Pattern[],
  percent: number,
  takesPatterns: boolean,
): readonly Pattern[] {
  return ids.filter(({ isExact, text }) => (isExact ? isInShare(text, percent) : takesPatterns));
}
