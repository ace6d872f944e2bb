import type { Pattern } from '../pattern.ts';
import type { Budget } from './budget.ts';
import {
  type Grammar,
  hostLabel,
  idSegment,
  pathSegment,
  pathSegmentWithParameters,
  trustDomainName,
} from './grammar.ts';
import type { SegmentClasses, SegmentLanguage } from './segment-classes.ts';

/** How values of a kind are made of segments; those of hosts are read from the end. */
export interface ValueKind {
  segmentsOf(pattern: Pattern): readonly string[];
  textOf(words: readonly string[]): string;
  grammarAt(depth: number): Grammar;
  /** The last segment may be empty. */
  readonly hasEmptyEnd: boolean;
}

export const idKind: ValueKind = {
  segmentsOf: (pattern) => pattern.segments().slice(2),
  textOf: (words) => `spiffe://${words.join('/')}`,
  grammarAt: (depth) => (depth === 0 ? trustDomainName : idSegment),
  hasEmptyEnd: false,
};

export function pathKind(allowMatrixParameters: boolean): ValueKind {
  return {
    segmentsOf: (pattern) => pattern.segments().slice(1),
    textOf: (words) => `/${words.join('/')}`,
    grammarAt: () => (allowMatrixParameters ? pathSegmentWithParameters : pathSegment),
    hasEmptyEnd: true,
  };
}

export const hostKind: ValueKind = {
  segmentsOf: (pattern) => pattern.segments().toReversed(),
  textOf: (words) => words.toReversed().join('.'),
  grammarAt: () => hostLabel,
  hasEmptyEnd: false,
};

/** Values that are made of one class of segments after the other. */
export interface Cell {
  /** The numbers of the patterns that match, sorted. */
  readonly matched: readonly number[];
  readonly words: readonly string[];
  readonly segments: readonly SegmentLanguage[];
  /** Further segments make no difference. */
  readonly isOpen: boolean;
}

interface Place {
  /** Patterns that go on. */
  readonly alive: readonly number[];
  /** Patterns that match whatever follows. */
  readonly open: readonly number[];
  readonly words: readonly string[];
  readonly segments: readonly SegmentLanguage[];
  readonly mark: string;
}

/**
 * Divides all values of a kind into cells: each set of patterns that match something together is that
 * of at least one. `kept`: segments at these depths are not merged, so that they can be compared with others.
 */
export function divideValues(
  kind: ValueKind,
  patterns: readonly Pattern[],
  kept: ReadonlySet<number>,
  classes: SegmentClasses,
  budget: Budget,
): Cell[] {
  const segments = patterns.map((pattern) => kind.segmentsOf(pattern));
  const cells = new Map<string, Cell>();
  const seen = new Set<string>();
  const emit = (place: Place, isOpen: boolean): void => {
    const depth = place.words.length;
    const ended = isOpen ? [] : place.alive.filter((one) => segments[one]?.length === depth);
    const matched = [...place.open, ...ended].sort((a, b) => a - b);
    const key = `${matched.join()} ${place.mark}`;
    const { words } = place;
    if (!cells.has(key)) cells.set(key, { matched, words, segments: place.segments, isOpen });
  };
  const all = [...patterns.keys()];
  const queue: Place[] = [
    opened({ alive: all, open: [], words: [], segments: [], mark: '' }, segments),
  ];
  for (const place of queue) {
    const depth = place.words.length;
    budget.spend(1 + place.alive.length + place.open.length);
    if (depth > 0) emit(place, false);
    const going = place.alive.filter((one) => (segments[one]?.length ?? 0) > depth);
    const bySegment = Map.groupBy(going, (one) => segments[one]?.[depth] ?? '');
    const texts = [...bySegment.keys()];
    const step = (word: string, language: SegmentLanguage, matched: readonly string[]): Place => ({
      alive: matched.flatMap((text) => bySegment.get(text) ?? []),
      open: place.open,
      words: [...place.words, word],
      segments: [...place.segments, language],
      mark: kept.has(depth) ? `${place.mark}/${nameOf(language)}` : place.mark,
    });
    if (kind.hasEmptyEnd) emit(opened(step('', { word: '' }, ['']), segments), false);
    for (const { word, language, matched } of classes.split(kind.grammarAt(depth), texts)) {
      const next = opened(step(word, language, matched), segments);
      budget.spend(1 + next.alive.length + next.open.length);
      if (next.alive.length === 0) {
        emit(next, true);
        continue;
      }
      const key = `${depth} ${next.alive.toSorted((a, b) => a - b).join()} ${next.open.toSorted((a, b) => a - b).join()} ${next.mark}`;
      if (seen.has(key)) continue;
      seen.add(key);
      queue.push(next);
    }
  }
  return [...cells.values()];
}

/** Patterns whose rest is `**` match whatever follows, nothing too. */
function opened(place: Place, segments: readonly (readonly string[])[]): Place {
  const depth = place.words.length;
  const [still, open] = [[] as number[], [...place.open]];
  for (const one of place.alive) (segments[one]?.[depth] === '**' ? open : still).push(one);
  return open.length === place.open.length ? place : { ...place, alive: still, open };
}

function nameOf(language: SegmentLanguage): string {
  if (language.word !== undefined) return language.word;
  const { vector, globs, excluded } = language;
  return `*${vector} ${globs.join(' ')} ${[...excluded].sort().join(' ')}`;
}
