import { formatSelector, type RegistrationEntry } from '../spiffe/index.ts';
import type { SelectorGap } from './situation.ts';

const MAX_SHOWN = 8;

/** The selectors of an entry that are not among those shown, each with what is shown of its kind. */
export function findSelectorGaps(
  { selectors }: Pick<RegistrationEntry, 'selectors'>,
  shown: ReadonlySet<string>,
  byKind: ReadonlyMap<string, readonly string[]>,
): readonly SelectorGap[] {
  const gaps: SelectorGap[] = [];
  for (const selector of selectors) {
    const wanted = formatSelector(selector);
    if (shown.has(wanted)) continue;
    gaps.push({ wanted, shown: (byKind.get(kindOf(wanted)) ?? []).slice(0, MAX_SHOWN) });
  }
  return gaps;
}

/** Selectors by what they tell of. */
export function groupByKind(texts: readonly string[]): ReadonlyMap<string, readonly string[]> {
  return Map.groupBy(texts, kindOf);
}

/**
 * What a selector tells of: `unix:uid` of `unix:uid:1000`, `docker:label:app` of `docker:label:app:web`. Paths and
 * digests of `unix` may hold colons; elsewhere the value follows the last one.
 */
function kindOf(text: string): string {
  const second = text.indexOf(':', text.indexOf(':') + 1);
  const end = text.startsWith('unix:') ? second : text.lastIndexOf(':');
  return end === -1 ? text : text.slice(0, end);
}
