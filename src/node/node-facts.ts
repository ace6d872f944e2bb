import {
  type AgentFacts,
  type Bundle,
  bundlesEqual,
  emptyBundle,
  type PolicyTexts,
  type TrustDomain,
  type TrustMap,
  type TrustMapSource,
  termsEqual,
} from '../spiffe/index.ts';

/** What this host was told, live: whole states, one after the other. */
export class NodeFacts implements TrustMapSource {
  readonly #listeners = new Set<() => void>();
  readonly #trustListeners = new Set<(map: TrustMap) => void>();
  #facts: AgentFacts;
  #isComplete = false;

  constructor(trustDomain: TrustDomain, restored: AgentFacts | undefined) {
    const own = emptyBundle(trustDomain);
    const trust: TrustMap = { own, federated: new Map(), terms: new Map() };
    this.#facts = restored ?? { entries: new Map(), trust, revocations: [] };
  }

  /** False until a server has told everything once; what was restored may be known before. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The last state that was told. */
  get facts(): AgentFacts {
    return this.#facts;
  }

  current(): TrustMap {
    return this.#facts.trust;
  }

  watch(listener: (map: TrustMap) => void): () => void {
    this.#trustListeners.add(listener);
    return () => this.#trustListeners.delete(listener);
  }

  /** Calls the listener after each change of anything. */
  watchAll(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(facts: AgentFacts): void {
    const before = this.#facts;
    const isFirst = !this.#isComplete;
    const trust = keepEqual(before.trust, facts.trust);
    const policies = keepPolicies(before.policies, facts.policies);
    const crls = keepCrls(before.crls, facts.crls);
    this.#isComplete = true;
    if (!isFirst && isSame(before, { ...facts, trust, policies, crls })) return;
    this.#facts = { ...facts, trust, policies, crls };
    this.#tell(trust !== before.trust);
  }

  /** Of the own bundle alone, as before entries are known. */
  setOwnBundle(own: Bundle): void {
    const { trust } = this.#facts;
    if (bundlesEqual(own, trust.own)) return;
    this.#facts = { ...this.#facts, trust: { ...trust, own } };
    this.#tell(true);
  }

  #tell(isTrustNew: boolean): void {
    if (isTrustNew) for (const listener of this.#trustListeners) listener(this.#facts.trust);
    for (const listener of this.#listeners) listener();
  }
}

/**
 * Policies do not end: where there were some there is always a version. A server that tells of none cannot
 * read them, or is one that delivers none, and what was known stays.
 */
function keepPolicies(
  before: PolicyTexts | undefined,
  after: PolicyTexts | undefined,
): PolicyTexts | undefined {
  return after === undefined || after.hash === before?.hash ? before : after;
}

/** The same list for the same CRLs. */
function keepCrls(before: AgentFacts['crls'], after: AgentFacts['crls']): AgentFacts['crls'] {
  const isSameList =
    before?.length === after?.length && before?.every((crl, at) => crl === after?.[at]);
  return isSameList ? before : after;
}

/** The same object for the same content: consumers compare and memoize by it. */
function keepEqual(before: TrustMap, after: TrustMap): TrustMap {
  const own = bundlesEqual(before.own, after.own) ? before.own : after.own;
  const federated = keepItems(before.federated, after.federated, bundlesEqual);
  const terms = keepItems(before.terms, after.terms, termsEqual);
  const isSameTrust =
    own === before.own && federated === before.federated && terms === before.terms;
  return isSameTrust ? before : { own, federated, terms };
}

function keepItems<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  isEqual: (one: T, other: T) => boolean,
): ReadonlyMap<string, T> {
  const kept = new Map<string, T>();
  for (const [name, item] of after) {
    const old = before.get(name);
    kept.set(name, old !== undefined && isEqual(old, item) ? old : item);
  }
  return isSameMap(before, kept) ? before : kept;
}

function isSame(one: AgentFacts, other: AgentFacts): boolean {
  return (
    one.trust === other.trust &&
    one.revocations === other.revocations &&
    one.policies === other.policies &&
    one.crls === other.crls &&
    isSameMap(one.entries, other.entries)
  );
}

function isSameMap<T>(one: ReadonlyMap<string, T>, other: ReadonlyMap<string, T>): boolean {
  if (one.size !== other.size) return false;
  for (const [key, value] of one) if (other.get(key) !== value) return false;
  return true;
}
