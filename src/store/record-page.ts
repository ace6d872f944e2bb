export interface PageRequest {
  /** At most this many items, and at most the limit; 0 for all, if they fit in one page. */
  readonly pageSize: number;
  /** What the page before gave as `nextPageToken`; empty for the first. */
  readonly pageToken: string;
}

export interface RecordPage<Item> {
  readonly items: readonly Item[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** What a list is made of. */
export interface PageSource<Item> {
  /** Sorted. */
  readonly ids: readonly string[];
  /** Undefined: not meant. */
  itemOf(id: string): Item | undefined;
  /** What the item takes of the page's bytes. */
  bytesOf(item: Item): number;
  /** The form of an ID, in Latin-1. */
  readonly idPattern: RegExp;
}

/** One answer's bounds. A page ends at whichever comes first, after at least one item. */
export interface PageLimits {
  readonly items: number;
  readonly bytes: number;
}

/**
 * Items in order of their IDs, so that an item that is there from the first page to the last is
 * listed exactly once, whatever else changes.
 * @throws what `refuse` makes of a request that cannot be met
 */
export function listPage<Item>(
  source: PageSource<Item>,
  request: PageRequest,
  limits: PageLimits,
  refuse: (message: string) => Error,
): RecordPage<Item> {
  const { ids } = source;
  const limit = request.pageSize === 0 ? limits.items : Math.min(request.pageSize, limits.items);
  const items: Item[] = [];
  let [bytes, last] = [0, ''];
  for (let at = startOf(source, request, refuse); at < ids.length; at++) {
    const id = ids[at] ?? '';
    const item = source.itemOf(id);
    if (item === undefined) continue;
    bytes += source.bytesOf(item);
    if (items.length > 0 && (items.length === limit || bytes > limits.bytes)) {
      // Who asks without a page size reads no token: a part would pass for the whole.
      if (request.pageSize === 0) throw refuse(unpaged(limits));
      return { items, nextPageToken: Buffer.from(`1:${last}`).toString('base64url') };
    }
    items.push(item);
    last = id;
  }
  return { items, nextPageToken: '' };
}

function startOf(
  { ids, idPattern }: PageSource<unknown>,
  { pageToken }: PageRequest,
  refuse: (message: string) => Error,
): number {
  if (pageToken === '') return 0;
  const text = Buffer.from(pageToken, 'base64url').toString('latin1');
  if (text.startsWith('1:') && idPattern.test(text.slice(2))) {
    return lowerBound(ids, `${text.slice(2)}\0`);
  }
  const shown = JSON.stringify(pageToken.length > 120 ? `${pageToken.slice(0, 120)}…` : pageToken);
  throw refuse(`page_token: expected a token of this list; got ${shown}`);
}

function unpaged({ items }: PageLimits): string {
  return `page_size: expected 1 to ${items}, as the list does not fit into one answer; got 0`;
}

/** The first position whose text is not below `text`. */
function lowerBound(sorted: readonly string[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
}
