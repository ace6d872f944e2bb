import { type RegistrationEntry, TrustplaneError } from '../spiffe/index.ts';
import { listPage, type PageRequest } from '../store/index.ts';
import { candidates, compileFilter, type EntryFilter } from './entry-filter.ts';
import type { EntryGraph } from './entry-graph.ts';

/** One answer's bounds. A page ends at whichever comes first, after at least one entry. */
export const pageLimits = {
  entries: 1000,
  /** Of the entries as stored; their protobuf form is smaller. gRPC clients take 4 MiB by default. */
  bytes: 2_097_152,
} as const;

export interface EntryPage {
  readonly entries: readonly RegistrationEntry[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** The entries that are meant, in order of their IDs. @throws TrustplaneError ERR_ENTRY_PAGE */
export function listEntries(
  graph: EntryGraph,
  filter: EntryFilter,
  request: PageRequest,
  bytesOf: (entry: RegistrationEntry) => number,
): EntryPage {
  const few = candidates(graph, filter);
  const isMeant = compileFilter(filter);
  const { items, nextPageToken } = listPage(
    {
      ids: few === undefined ? graph.ids : Array.from(few, (entry) => entry.id).sort(),
      itemOf: (id) => {
        const entry = graph.get(id);
        return entry !== undefined && isMeant(entry) ? entry : undefined;
      },
      bytesOf,
      idPattern: /^[A-Za-z0-9._-]{1,255}$/u,
    },
    request,
    { items: pageLimits.entries, bytes: pageLimits.bytes },
    (message) => new TrustplaneError('ERR_ENTRY_PAGE', message),
  );
  return { entries: items, nextPageToken };
}
