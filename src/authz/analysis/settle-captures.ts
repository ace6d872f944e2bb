import type { Branch, SegmentRef } from './branch.ts';
import type { Choice } from './choice.ts';
import type { SegmentLanguage } from './segment-classes.ts';
import type { SplitContext } from './split-values.ts';
import { take } from './take.ts';

interface Settled {
  readonly live: readonly Branch[];
  /** What segments are to be, so that those of `equal` are and the others are not. */
  readonly words: ReadonlyMap<SegmentRef, string>;
}

/** More segments to compare than this make too many cases. */
const MAX_REFS = 8;

/**
 * The branches that are left when captures are compared: once for each set of them that can be, by
 * going through all ways in which the segments are equal to one another or not.
 */
export function settleCaptures(
  live: readonly Branch[],
  chosen: readonly Choice[],
  context: SplitContext,
): Settled[] {
  const refs = refsOf(live);
  if (refs.length === 0) return [{ live, words: new Map() }];
  if (refs.length > MAX_REFS) context.budget.spend(Number.POSITIVE_INFINITY);
  const languages = refs.map((ref) => languageOf(ref, chosen));
  const found = new Map<string, Settled>();
  for (const parts of partitions(refs.length)) {
    context.budget.spend(refs.length);
    const partOf = (ref: SegmentRef) =>
      parts[refs.findIndex((one) => one.field === ref.field && one.depth === ref.depth)];
    const matching = live.filter(({ equal }) =>
      equal.every((group) => new Set(group.map(partOf)).size === 1),
    );
    const key = matching.map(({ number }) => number).join();
    if (found.has(key)) continue;
    const words = distinctWords(languages, parts, context);
    if (words === undefined) continue;
    found.set(key, {
      live: matching,
      words: new Map(refs.map((ref, at) => [ref, words[parts[at] ?? 0] ?? ''])),
    });
  }
  return [...found.values()];
}

function refsOf(live: readonly Branch[]): SegmentRef[] {
  const all = live.flatMap(({ equal }) => equal.flat());
  return [...new Map(all.map((ref) => [`${ref.field} ${ref.depth}`, ref])).values()];
}

function languageOf(ref: SegmentRef, chosen: readonly Choice[]): SegmentLanguage {
  const cell = chosen.find((one) => one.cell?.field === ref.field)?.cell?.cell;
  return cell?.segments[ref.depth] ?? { word: '' };
}

/** All ways to put so many things into parts: for each thing the number of its part. */
function* partitions(
  count: number,
  before: readonly number[] = [],
): Generator<readonly number[], void> {
  if (before.length === count) {
    yield before;
    return;
  }
  const next = before.length === 0 ? 0 : Math.max(...before) + 1;
  for (let part = 0; part <= next; part++) yield* partitions(count, [...before, part]);
}

/** A word for each part that is of all its languages, no two the same. */
function distinctWords(
  languages: readonly SegmentLanguage[],
  parts: readonly number[],
  { classes }: SplitContext,
): readonly string[] | undefined {
  const count = Math.max(...parts) + 1;
  const candidates = Array.from({ length: count }, (_, part) => [
    ...take(classes.words(languages.filter((_language, at) => parts[at] === part)), count),
  ]);
  const pick = (at: number, taken: readonly string[]): readonly string[] | undefined => {
    if (at === count) return taken;
    for (const word of candidates[at] ?? []) {
      const found = taken.includes(word) ? undefined : pick(at + 1, [...taken, word]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return pick(0, []);
}
