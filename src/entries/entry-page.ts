import { type RegistrationEntry, TrustplaneError } from '../spiffe/index.ts';
import { quote } from './entry-error.ts';
import { candidates, compileFilter, type EntryFilter } from './entry-filter.ts';
import { type EntryGraph, lowerBound } from './entry-graph.ts';

/** One answer's bounds. A page ends at whichever comes first, after at least one entry. */
export const pageLimits = {
  entries: 1000,
  /** Of the entries as stored; their protobuf form is smaller. gRPC clients take 4 MiB by default. */
  bytes: 2_097_152,
} as const;

export interface PageRequest {
  /** At most this many entries, and at most `pageLimits.entries`; 0 for all, if they fit in one page. */
  readonly pageSize: number;
  /** What the page before gave as `nextPageToken`; empty for the first. */
  readonly pageToken: string;
}

export interface EntryPage {
  readonly entries: readonly RegistrationEntry[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/**
 * Entries in order of their IDs, so that an entry that is there from the first page to the last is
 * listed exactly once, whatever else changes.
 * @throws TrustplaneError ERR_ENTRY_PAGE
 */
export function listPage(
  graph: EntryGraph,
  filter: EntryFilter,
  request: PageRequest,
  bytesOf: (entry: RegistrationEntry) => number,
): EntryPage {
  const few = candidates(graph, filter);
  const ids = few === undefined ? graph.ids : Array.from(few, (entry) => entry.id).sort();
  const isMeant = compileFilter(filter);
  const after = parsePageToken(request.pageToken);
  const limit = Math.min(
    request.pageSize === 0 ? pageLimits.entries : request.pageSize,
    pageLimits.entries,
  );
  const entries: RegistrationEntry[] = [];
  let bytes = 0;
  for (let i = after === undefined ? 0 : lowerBound(ids, `${after}\0`); i < ids.length; i++) {
    const entry = graph.get(ids[i] ?? '');
    if (entry === undefined || !isMeant(entry)) continue;
    bytes += bytesOf(entry);
    if (entries.length > 0 && (entries.length === limit || bytes > pageLimits.bytes)) {
      return { entries, nextPageToken: moreAfter(entries, request) };
    }
    entries.push(entry);
  }
  return { entries, nextPageToken: '' };
}

/** Who asks without a page size reads no token: a part would pass for the whole. */
function moreAfter(entries: readonly RegistrationEntry[], { pageSize }: PageRequest): string {
  if (pageSize === 0) {
    const message = `page_size: expected 1 to ${pageLimits.entries}, as the list does not fit into one answer; got 0`;
    throw new TrustplaneError('ERR_ENTRY_PAGE', message);
  }
  return Buffer.from(`1:${entries.at(-1)?.id ?? ''}`).toString('base64url');
}

function parsePageToken(token: string): string | undefined {
  if (token === '') return undefined;
  const text = Buffer.from(token, 'base64url').toString('latin1');
  if (/^1:[A-Za-z0-9._-]{1,255}$/u.test(text)) return text.slice(2);
  const message = `page_token: expected a token of this list; got ${quote(token)}`;
  throw new TrustplaneError('ERR_ENTRY_PAGE', message);
}
