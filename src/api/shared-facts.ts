import type { Bundle, Revocation, TrustMap, TrustMapSource } from '../spiffe/index.ts';
import {
  bundleItem,
  type ItemKey,
  revocationItem,
  type StateDigest,
  type SyncItem,
  withHash,
  withoutHash,
} from '../sync/index.ts';

/** The revocations that are current. `watch` calls the listener after each change. */
export interface RevocationSource {
  list(): readonly Revocation[];
  watch(listener: () => void): () => void;
}

/** A bundle before and after a change of the trust map. */
export interface BundleChange {
  readonly before: Bundle | undefined;
  readonly after: Bundle | undefined;
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

  /** Returns the bundles that came, went or became others; equal ones are no news. */
  takeTrust(trust: TrustMap): readonly BundleChange[] {
    const before = this.#trust;
    this.#trust = trust;
    const names = new Set([...before.federated.keys(), ...trust.federated.keys()]);
    const changes: BundleChange[] = [{ before: before.own, after: trust.own }];
    for (const name of names) {
      changes.push({ before: before.federated.get(name), after: trust.federated.get(name) });
    }
    return changes.filter((change) => hashOf(change.before) !== hashOf(change.after));
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

function hashOf(bundle: Bundle | undefined): bigint | undefined {
  return bundle && bundleItem(bundle).hash;
}
