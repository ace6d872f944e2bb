import { formatSelector, type RegistrationEntry } from '../spiffe/index.ts';
import type { EntryGraph } from './entry-graph.ts';

/** How a list of an entry stands to the wanted one, as in SPIRE: subset = nothing but wanted ones, and at least one. */
export type MatchBehavior = 'exact' | 'subset' | 'superset' | 'any';

export interface SetFilter {
  readonly match: MatchBehavior;
  /** At least one. */
  readonly values: readonly string[];
}

/** Which entries are meant; every part that is given must hold. */
export interface EntryFilter {
  readonly spiffeId?: string;
  readonly parentId?: string;
  /** Selector texts. */
  readonly selectors?: SetFilter;
  /** Trust domain names. */
  readonly federatesWith?: SetFilter;
  readonly hint?: string;
  readonly downstream?: boolean;
}

/** Whether the entry is meant by the filter. */
export function passesFilter(entry: RegistrationEntry, filter: EntryFilter): boolean {
  const { spiffeId, parentId, selectors, federatesWith, hint, downstream } = filter;
  if (spiffeId !== undefined && entry.spiffeId.toString() !== spiffeId) return false;
  if (parentId !== undefined && entry.parentId.toString() !== parentId) return false;
  if (hint !== undefined && entry.hint !== hint) return false;
  if (downstream !== undefined && entry.downstream !== downstream) return false;
  if (selectors !== undefined && !passesSet(entry.selectors.map(formatSelector), selectors))
    return false;
  return (
    federatesWith === undefined ||
    passesSet(
      entry.federatesWith.map((trustDomain) => trustDomain.name),
      federatesWith,
    )
  );
}

/** The IDs of the fewest entries that are sure to hold all the filter means, sorted. */
export function candidateIds(graph: EntryGraph, filter: EntryFilter): readonly string[] {
  if (filter.spiffeId !== undefined) return sortedIds(graph.withSpiffeId(filter.spiffeId));
  if (filter.parentId !== undefined) return sortedIds(graph.childrenOf(filter.parentId));
  return graph.ids;
}

function sortedIds(entries: Iterable<RegistrationEntry>): readonly string[] {
  return Array.from(entries, (entry) => entry.id).sort();
}

function passesSet(own: readonly string[], { match, values }: SetFilter): boolean {
  const wanted = new Set(values);
  const shared = own.filter((value) => wanted.has(value)).length;
  const within = shared > 0 && shared === own.length;
  if (match === 'any') return shared > 0;
  if (match === 'superset') return shared === wanted.size;
  return match === 'subset' ? within : within && shared === wanted.size;
}
