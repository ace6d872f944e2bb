import type { EntryFilter } from '../entries/index.ts';
import {
  formatSelector,
  messageOf,
  parseSelector,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { MatchBehavior, SetFilter } from '../store/index.ts';
import { parseSpiffeId, type WireSelector, type WireSpiffeId } from '../sync/index.ts';
import { parseBatch } from './wire-values.ts';

const MAX_FILTER_VALUES = 1000;

/** spire.api.types.SelectorMatch */
export interface WireSelectorMatch {
  readonly selectors?: readonly WireSelector[];
  readonly match?: string;
}

/** The Filter of ListEntriesRequest and CountEntriesRequest. */
export interface WireEntryFilter {
  readonly by_spiffe_id?: WireSpiffeId | null;
  readonly by_parent_id?: WireSpiffeId | null;
  readonly by_selectors?: WireSelectorMatch | null;
  readonly by_federates_with?: {
    readonly trust_domains?: readonly string[];
    readonly match?: string;
  } | null;
  readonly by_hint?: { readonly value?: string } | null;
  readonly by_downstream?: { readonly value?: boolean } | null;
}

const behaviors: ReadonlyMap<string, MatchBehavior> = new Map([
  ['MATCH_EXACT', 'exact'],
  ['MATCH_SUBSET', 'subset'],
  ['MATCH_SUPERSET', 'superset'],
  ['MATCH_ANY', 'any'],
]);

/**
 * An empty hint and `by_downstream` false filter nothing, as in SPIRE, whose tools always send the
 * latter.
 * @throws TrustplaneError ERR_API_REQUEST
 */
export function parseEntryFilter(filter: WireEntryFilter | null | undefined): EntryFilter {
  const { by_spiffe_id, by_parent_id, by_selectors, by_federates_with, by_hint, by_downstream } =
    filter ?? {};
  return {
    ...(by_spiffe_id && {
      spiffeId: parseSpiffeId(by_spiffe_id, 'filter.by_spiffe_id', 'ERR_API_REQUEST'),
    }),
    ...(by_parent_id && {
      parentId: parseSpiffeId(by_parent_id, 'filter.by_parent_id', 'ERR_API_REQUEST'),
    }),
    ...(by_selectors && {
      selectors: parseSelectorMatch('filter.by_selectors', by_selectors),
    }),
    ...(by_federates_with && {
      federatesWith: parseSet(
        'filter.by_federates_with',
        by_federates_with.match,
        by_federates_with.trust_domains,
        (name) => TrustDomain.parse(name.replace(/^spiffe:\/\//u, '')).name,
      ),
    }),
    ...(by_hint?.value && { hint: by_hint.value }),
    ...(by_downstream?.value === true && { downstream: true }),
  };
}

/** @throws TrustplaneError ERR_API_REQUEST */
export function parseSelectorMatch(
  field: string,
  { match, selectors }: WireSelectorMatch,
): SetFilter {
  return parseSet(field, match, selectors, selectorText);
}

function selectorText({ type, value }: WireSelector): string {
  if (type?.includes(':'))
    throw refused(`a selector type without ":"; got ${JSON.stringify(type)}`);
  return formatSelector(parseSelector(`${type ?? ''}:${value ?? ''}`));
}

function parseSet<T>(
  field: string,
  match: string | undefined,
  items: readonly T[] | undefined,
  parse: (item: T) => string,
): SetFilter {
  const behavior = behaviors.get(match ?? 'MATCH_EXACT');
  if (behavior === undefined) {
    throw refused(
      `${field}.match: expected one of ${[...behaviors.keys()].join(', ')}; got ${match}`,
    );
  }
  const values = parseBatch(items, MAX_FILTER_VALUES, field);
  if (values.length === 0) throw refused(`${field}: expected at least one; got none`);
  try {
    return { match: behavior, values: values.map(parse) };
  } catch (error) {
    throw new TrustplaneError('ERR_API_REQUEST', `${field}: ${messageOf(error)}`, { cause: error });
  }
}

function refused(message: string): TrustplaneError {
  return new TrustplaneError('ERR_API_REQUEST', message);
}
