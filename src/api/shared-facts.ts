import type {
  Bundle,
  FederationTerms,
  Revocation,
  TrustMap,
  TrustMapSource,
} from '../spiffe/index.ts';
import {
  bundleItem,
  type ItemKey,
  revocationItem,
  type StateDigest,
  type SyncItem,
  termsItem,
  withHash,
  withoutHash,
} from '../sync/index.ts';

/** The revocations that are current. `watch` calls the listener after each change. */
export interface RevocationSource {
  list(): readonly Revocation[];
  watch(listener: () => void): () => void;
}

/** What is trusted of one trust domain. */
export interface DomainTrust {
  readonly bundle: Bundle | undefined;
  /** Of a foreign one. */
  readonly terms: FederationTerms | undefined;
}

/** A trust domain before and after a change of the trust map. */
export interface TrustChange {
  readonly name: string;
  readonly before: DomainTrust;
  readonly after: DomainTrust;
}

/** What all agents are to know alike, and out of which each has its bundles. */
export class SharedFacts {
  readonly #revocationSource: Pick<RevocationSource, 'list'>;
  #trust: TrustMap;
  #revocations: ReadonlyMap<ItemKey, SyncItem> = new Map();
  #digest: StateDigest = 0n;

  constructor(
    trustMap: Pick<TrustMapSource, 'current'>,
    revocations: Pick<RevocationSource, 'list'>,
  ) {
    this.#trust = trustMap.current();
    this.#revocationSource = revocations;
    this.takeRevocations();
  }

  get trust(): TrustMap {
    return this.#trust;
  }

  get revocations(): ReadonlyMap<ItemKey, SyncItem> {
    return this.#revocations;
  }

  /** Of the revocations. */
  get digest(): StateDigest {
    return this.#digest;
  }

  /** Returns the trust domains whose bundle or terms came, went or became others; equal ones are no news. */
  takeTrust(trust: TrustMap): readonly TrustChange[] {
    const before = this.#trust;
    this.#trust = trust;
    const names = new Set([trust.own.trustDomain.name]);
    for (const map of [before, trust]) {
      for (const name of map.federated.keys()) names.add(name);
      for (const name of map.terms.keys()) names.add(name);
    }
    return [...names].flatMap((name) => {
      const change = { name, before: domainTrust(before, name), after: domainTrust(trust, name) };
      return isSame(name, change.before, change.after) ? [] : [change];
    });
  }

  /** Returns the items that came, went or became others. */
  takeRevocations(): ReadonlySet<ItemKey> {
    const before = this.#revocations;
    const items = this.#revocationSource.list().map(revocationItem);
    const after = new Map(items.map((item): [ItemKey, SyncItem] => [item.key, item]));
    const keys = new Set<ItemKey>();
    for (const [key, { hash }] of before) {
      if (after.get(key)?.hash === hash) continue;
      this.#digest = withoutHash(this.#digest, hash);
      keys.add(key);
    }
    for (const [key, { hash }] of after) {
      if (before.get(key)?.hash === hash) continue;
      this.#digest = withHash(this.#digest, hash);
      keys.add(key);
    }
    this.#revocations = after;
    return keys;
  }
}

/** What a trust map says of one trust domain. */
export function domainTrust({ own, federated, terms }: TrustMap, name: string): DomainTrust {
  if (name === own.trustDomain.name) return { bundle: own, terms: undefined };
  return { bundle: federated.get(name), terms: terms.get(name) };
}

function isSame(name: string, one: DomainTrust, other: DomainTrust): boolean {
  const bundleHash = ({ bundle }: DomainTrust) => bundle && bundleItem(bundle).hash;
  const termsHash = ({ terms }: DomainTrust) => terms && termsItem(name, terms).hash;
  return (
    (one.bundle === other.bundle || bundleHash(one) === bundleHash(other)) &&
    (one.terms === other.terms || termsHash(one) === termsHash(other))
  );
}
