import type {
  Bundle,
  Crl,
  FederationTerms,
  PolicyTexts,
  Revocation,
  TrustMap,
  TrustMapSource,
} from '../spiffe/index.ts';
import {
  bundleItem,
  crlItem,
  type ItemKey,
  policyItems,
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

/** The policies in their present version. `watch` calls the listener after each change. */
export interface PolicySource {
  current(): PolicyTexts | undefined;
  watch(listener: () => void): () => void;
}

/** The CRLs to check against. `watch` calls the listener after each change. */
export interface CrlSource {
  list(): readonly Crl[];
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
  readonly #policySource: Pick<PolicySource, 'current'> | undefined;
  readonly #crlSource: Pick<CrlSource, 'list'> | undefined;
  #trust: TrustMap;
  #revocations: ReadonlyMap<ItemKey, SyncItem> = new Map();
  #digest: StateDigest = 0n;
  #policies: ReadonlyMap<ItemKey, SyncItem> = new Map();
  #policiesDigest: StateDigest = 0n;
  #crls: ReadonlyMap<ItemKey, SyncItem> = new Map();
  #crlsDigest: StateDigest = 0n;

  constructor(
    trustMap: Pick<TrustMapSource, 'current'>,
    revocations: Pick<RevocationSource, 'list'>,
    policies?: Pick<PolicySource, 'current'>,
    crls?: Pick<CrlSource, 'list'>,
  ) {
    this.#trust = trustMap.current();
    this.#revocationSource = revocations;
    this.#policySource = policies;
    this.#crlSource = crls;
    this.takeRevocations();
    this.takePolicies();
    this.takeCrls();
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

  /** For agents that take them. */
  get policies(): ReadonlyMap<ItemKey, SyncItem> {
    return this.#policies;
  }

  get policiesDigest(): StateDigest {
    return this.#policiesDigest;
  }

  /** For agents that take them. */
  get crls(): ReadonlyMap<ItemKey, SyncItem> {
    return this.#crls;
  }

  get crlsDigest(): StateDigest {
    return this.#crlsDigest;
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
    const after = byKey(this.#revocationSource.list().map(revocationItem));
    const { keys, digest } = compareItems(this.#revocations, after, this.#digest);
    this.#revocations = after;
    this.#digest = digest;
    return keys;
  }

  /** The same of the policies: a file that is in both versions is no news. */
  takePolicies(): ReadonlySet<ItemKey> {
    const after = byKey(policyItems(this.#policySource?.current()));
    const { keys, digest } = compareItems(this.#policies, after, this.#policiesDigest);
    this.#policies = after;
    this.#policiesDigest = digest;
    return keys;
  }

  /** The same of the CRLs. */
  takeCrls(): ReadonlySet<ItemKey> {
    const after = byKey((this.#crlSource?.list() ?? []).map(crlItem));
    const { keys, digest } = compareItems(this.#crls, after, this.#crlsDigest);
    this.#crls = after;
    this.#crlsDigest = digest;
    return keys;
  }
}

type Items = ReadonlyMap<ItemKey, SyncItem>;

function byKey(items: readonly SyncItem[]): Items {
  return new Map(items.map((item): [ItemKey, SyncItem] => [item.key, item]));
}

/** Which items are others, and what becomes of the digest over them. */
function compareItems(
  before: Items,
  after: Items,
  was: StateDigest,
): { readonly keys: ReadonlySet<ItemKey>; readonly digest: StateDigest } {
  const keys = new Set<ItemKey>();
  let digest = was;
  for (const [key, { hash }] of before) {
    if (after.get(key)?.hash === hash) continue;
    digest = withoutHash(digest, hash);
    keys.add(key);
  }
  for (const [key, { hash }] of after) {
    if (before.get(key)?.hash === hash) continue;
    digest = withHash(digest, hash);
    keys.add(key);
  }
  return { keys, digest };
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
