import type { IpRange } from '../ip-range.ts';

/** What of a request Envoy's RBAC looks at. A value that is missing matches nothing. */
export type MatchInput =
  /** Of the certificate of the caller; several are joined by commas. */
  | { readonly kind: 'uri-san' }
  /** Without the query: filter state tp.path, `%PATH(NQ:PATH)%`. */
  | { readonly kind: 'path' }
  /** Of the certificate of the caller, lower-case hex: filter state tp.serial, `%DOWNSTREAM_PEER_SERIAL%`. */
  | { readonly kind: 'serial' }
  /** Several lines are joined by commas. Also `:method` and `:authority`. */
  | { readonly kind: 'header'; readonly name: string }
  /** Of requests filter state tp.source of the connection, `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`. */
  | { readonly kind: 'source-ip' }
  | { readonly kind: 'destination-ip' }
  | { readonly kind: 'destination-port' };

export type ValueMatch =
  | { readonly kind: 'exact'; readonly text: string; readonly ignoreCase?: true }
  | { readonly kind: 'prefix'; readonly text: string }
  /** RE2, of the whole value. */
  | { readonly kind: 'regex'; readonly regex: string }
  | { readonly kind: 'ip'; readonly ranges: readonly IpRange[] };

export type Predicate =
  | { readonly kind: 'value'; readonly input: MatchInput; readonly match: ValueMatch }
  /** Of the dynamic metadata; `isContained`: of one member of a list. */
  | {
      readonly kind: 'claim';
      readonly namespace: string;
      readonly path: readonly string[];
      readonly match: ValueMatch;
      readonly isContained: boolean;
    }
  | { readonly kind: 'no-client-certificate' }
  | { readonly kind: 'and' | 'or'; readonly all: readonly Predicate[] }
  | { readonly kind: 'not'; readonly of: Predicate };

export interface MatchAction {
  readonly kind: 'action';
  readonly name: string;
  readonly action: 'ALLOW' | 'DENY';
}

/** By `prefix` the longest is tried first; what has no result is a miss, and the search goes on: shorter ones, then `otherwise`. */
export interface MatchMap {
  readonly kind: 'map';
  readonly by: 'exact' | 'prefix';
  readonly input: MatchInput;
  readonly entries: ReadonlyMap<string, Matcher>;
  readonly otherwise: Matcher | undefined;
}

/** The first entry that holds and has a result. */
export interface MatchList {
  readonly kind: 'list';
  readonly entries: readonly { readonly when: Predicate; readonly then: Matcher }[];
  readonly otherwise: Matcher | undefined;
}

/** A tree of Envoy's unified matching API, as RBAC takes it. */
export type Matcher = MatchAction | MatchMap | MatchList;
