import { formatSelector, type RegistrationEntry, type SpiffeId } from '../spiffe/index.ts';
import { compileSetFilter, type SetFilter } from '../store/index.ts';
import type { EntryGraph } from './entry-graph.ts';

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
  const selectors = compileSetFilter(filter.selectors);
  const federatesWith = compileSetFilter(filter.federatesWith);
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
