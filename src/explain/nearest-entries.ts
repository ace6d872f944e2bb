import { compareAge, type RegistrationEntry } from '../spiffe/index.ts';
import { findSelectorGaps, groupByKind } from './selector-gaps.ts';
import type { SelectorGap } from './situation.ts';

/** An entry, and what of it is not shown. */
export interface NearEntry {
  readonly entry: RegistrationEntry;
  readonly gaps: readonly SelectorGap[];
}

/**
 * Those that match, and the nearest of the others: with the fewest selectors missing, then with the fewest of
 * which nothing at all is shown, then with the most that are. One of which nothing is near is none.
 */
export class NearestEntries {
  readonly #shown: ReadonlySet<string>;
  readonly #byKind: ReadonlyMap<string, readonly string[]>;
  readonly #limit: number;
  #best: NearEntry[] = [];

  constructor(shown: readonly string[], limit: number) {
    this.#shown = new Set(shown);
    this.#byKind = groupByKind(shown);
    this.#limit = limit;
  }

  /** `isMeant`: it counts however little of it is shown. */
  consider(entry: RegistrationEntry, isMeant: boolean = false): void {
    const near = this.compare(entry);
    if (this.#limit === 0 || (!isMeant && !isNear(near))) return;
    const worst = this.#best.at(-1);
    const isFull = this.#best.length >= this.#limit;
    if (isFull && worst !== undefined && compareNearness(worst, near) <= 0) return;
    if (isFull) this.#best.pop();
    const place = this.#best.findIndex((other) => compareNearness(near, other) < 0);
    this.#best.splice(place === -1 ? this.#best.length : place, 0, near);
  }

  compare(entry: RegistrationEntry): NearEntry {
    return { entry, gaps: findSelectorGaps(entry, this.#shown, this.#byKind) };
  }

  /** The nearest first. */
  get best(): readonly NearEntry[] {
    return this.#best;
  }
}

/** Something of it is shown, or something of the same kind. */
function isNear({ entry, gaps }: NearEntry): boolean {
  return gaps.length < entry.selectors.length || gaps.some(({ shown }) => shown.length > 0);
}

function compareNearness(a: NearEntry, b: NearEntry): number {
  return (
    a.gaps.length - b.gaps.length ||
    countBlank(a) - countBlank(b) ||
    b.entry.selectors.length - a.entry.selectors.length ||
    compareAge(a.entry, b.entry)
  );
}

function countBlank({ gaps }: NearEntry): number {
  let blank = 0;
  for (const { shown } of gaps) if (shown.length === 0) blank++;
  return blank;
}

/** What an entry lacks for what is shown; undefined: nobody is asked about, and it lacks nothing. */
export function toEntryFacts<Known extends { readonly entry: RegistrationEntry }>(
  known: Known,
  shown: readonly string[] | undefined,
): Known & { readonly gaps: readonly SelectorGap[] } {
  if (shown === undefined) return { ...known, gaps: [] };
  return { ...known, gaps: findSelectorGaps(known.entry, new Set(shown), groupByKind(shown)) };
}
