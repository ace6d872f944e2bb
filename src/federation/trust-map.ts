import {
  type Bundle,
  type FederationTerms,
  type TrustMap,
  type TrustMapSource,
  termsEqual,
} from '../spiffe/index.ts';
import { noTerms, type TrustTerms } from './trust-terms.ts';

/** A bundle that changes; `watch` calls the listener after each change. */
export interface BundleSource {
  current(): Bundle;
  watch(listener: (bundle: Bundle) => void): () => void;
}

/** The bundles of foreign trust domains by name; a new map after each change. */
export interface ForeignBundleSource {
  current(): ReadonlyMap<string, Bundle>;
  watch(listener: (bundles: ReadonlyMap<string, Bundle>) => void): () => void;
}

/** The terms of foreign trust domains; new ones after each change. */
export interface TrustTermsSource {
  current(): TrustTerms;
  watch(listener: (terms: TrustTerms) => void): () => void;
}

/**
 * The live trust map of this process; no foreign trust domain unless bundles of theirs are given. Each
 * map is immutable; a change makes a new one. The bundle of a domain whose terms are unknown is left
 * out; terms that end before their bundle still tell what of it is accepted.
 */
export function createTrustMapSource(options: {
  readonly ownBundle: BundleSource;
  readonly foreignBundles?: ForeignBundleSource;
  readonly terms?: TrustTermsSource;
}): TrustMapSource {
  const { ownBundle, foreignBundles, terms } = options;
  const listeners = new Set<(map: TrustMap) => void>();
  let trustTerms = terms?.current() ?? noTerms;
  let map: TrustMap = {
    own: ownBundle.current(),
    federated: withoutUnknown(foreignBundles?.current() ?? new Map(), trustTerms),
    terms: trustTerms.terms,
  };
  const change = (part: Partial<TrustMap>): void => {
    map = { ...map, ...part };
    for (const listener of listeners) listener(map);
  };
  ownBundle.watch((own) => change({ own }));
  foreignBundles?.watch((bundles) =>
    change({
      federated: withoutUnknown(bundles, trustTerms),
      terms: withFormer(trustTerms.terms, map.terms, bundles),
    }),
  );
  terms?.watch((next) => {
    const before = trustTerms;
    trustTerms = next;
    // A relationship has more than terms.
    if (sameTerms(before.terms, next.terms) && sameNames(before.unknown, next.unknown)) return;
    const bundles = foreignBundles?.current() ?? new Map<string, Bundle>();
    const terms = withFormer(next.terms, map.terms, bundles);
    change({ federated: withoutUnknown(bundles, next), terms });
  });
  return {
    current: () => map,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** A relationship ends with its bundle, but in two steps: what it did not accept is not accepted between them. */
function withFormer(
  terms: ReadonlyMap<string, FederationTerms>,
  before: ReadonlyMap<string, FederationTerms>,
  bundles: ReadonlyMap<string, Bundle>,
): ReadonlyMap<string, FederationTerms> {
  const former = [...before].filter(
    ([name, { accept }]) => accept.length > 0 && !terms.has(name) && bundles.has(name),
  );
  if (former.length === 0) return terms;
  const scopes = former.map(
    ([name, { accept }]) => [name, { accept, publisherId: undefined }] as const,
  );
  return new Map([...terms, ...scopes]);
}

function withoutUnknown(
  bundles: ReadonlyMap<string, Bundle>,
  { unknown }: TrustTerms,
): ReadonlyMap<string, Bundle> {
  if (unknown.size === 0) return bundles;
  return new Map([...bundles].filter(([name]) => !unknown.has(name)));
}

function sameTerms(
  one: ReadonlyMap<string, FederationTerms>,
  other: ReadonlyMap<string, FederationTerms>,
): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([name, terms]) => {
    const its = other.get(name);
    return its !== undefined && (its === terms || termsEqual(terms, its));
  });
}

function sameNames(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((name) => other.has(name));
}
