import { formatSelector, type RegistrationEntry, type SpiffeId } from '../spiffe/index.ts';
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
  readonly spiffeId?: SpiffeId;
  readonly parentId?: SpiffeId;
  /** Selector texts. */
  readonly selectors?: SetFilter;
  /** Trust domain names. */
  readonly federatesWith?: SetFilter;
  readonly hint?: string;
  readonly downstream?: boolean;
}

/** Whether an entry is meant by the filter. */
export function compileFilter(filter: EntryFilter): (entry: RegistrationEntry) => boolean {
  const { spiffeId, parentId, hint, downstream } = filter;
  const selectors = compileSet(filter.selectors);
  const federatesWith = compileSet(filter.federatesWith);
  return (entry) =>
    (spiffeId === undefined || entry.spiffeId.equals(spiffeId)) &&
    (parentId === undefined || entry.parentId.equals(parentId)) &&
    (hint === undefined || entry.hint === hint) &&
    (downstream === undefined || entry.downstream === downstream) &&
    selectors(() => entry.selectors.map(formatSelector)) &&
    federatesWith(() => entry.federatesWith.map((trustDomain) => trustDomain.name));
}

/** The fewest entries that are sure to hold all the filter means; undefined when that is all of them. */
export function candidates(
  graph: EntryGraph,
  filter: EntryFilter,
): Iterable<RegistrationEntry> | undefined {
  if (filter.spiffeId !== undefined) return graph.withPath(filter.spiffeId.path);
  return filter.parentId === undefined ? undefined : graph.childrenOf(filter.parentId.path);
}

function compileSet(filter: SetFilter | undefined): (own: () => readonly string[]) => boolean {
  if (filter === undefined) return () => true;
  const wanted = new Set(filter.values);
  return (own) => compare(filter.match, own(), wanted);
}

function compare(match: MatchBehavior, own: readonly string[], wanted: Set<string>): boolean {
  const shared = own.filter((value) => wanted.has(value)).length;
  const within = shared > 0 && shared === own.length;
  if (match === 'any') return shared > 0;
  if (match === 'superset') return shared === wanted.size;
  return match === 'subset' ? within : within && shared === wanted.size;
}
