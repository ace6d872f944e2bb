import type { IdScope } from './id-scope.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** On what terms a federated trust domain is trusted, apart from its keys. Immutable. */
export interface FederationTerms {
  /** Which of its SPIFFE IDs are accepted; empty: all of them. */
  readonly accept: readonly IdScope[];
  /** Whose broadcast of its bundle is believed; undefined: nobody's. */
  readonly publisherId: SpiffeId | undefined;
}

/** True when the terms of the ID's trust domain do not exclude it; a domain without terms excludes nothing. */
export function isAccepted(
  terms: ReadonlyMap<string, Pick<FederationTerms, 'accept'>>,
  id: SpiffeId,
): boolean {
  const accept = terms.get(id.trustDomain.name)?.accept ?? [];
  return accept.length === 0 || accept.some((scope) => scope.accepts(id));
}

export function termsEqual(one: FederationTerms, other: FederationTerms): boolean {
  return (
    one.publisherId?.toString() === other.publisherId?.toString() &&
    one.accept.length === other.accept.length &&
    one.accept.every((scope, at) => scope.toString() === other.accept[at]?.toString())
  );
}
