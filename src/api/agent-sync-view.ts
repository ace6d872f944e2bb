import type { AgentEntries, EntryChange } from '../entries/index.ts';
import type { Bundle, TrustMap } from '../spiffe/index.ts';
import {
  bundleItem,
  bundleKeyOf,
  entryItem,
  entryKeyOf,
  formatDigest,
  type ItemKey,
  itemIdOf,
  type StateDigest,
  type SyncItem,
  type SyncView,
  withHash,
  withoutHash,
} from '../sync/index.ts';
import type { BundleChange, SharedFacts } from './shared-facts.ts';

/**
 * What one agent is to know now: its entries, the own bundle and those its entries federate with,
 * and all revocations. Only the sum over its entries and bundles is its own.
 */
export class AgentSyncView implements SyncView {
  readonly #entries: AgentEntries;
  readonly #shared: SharedFacts;
  /** How many entries federate with each trust domain. */
  readonly #federated = new Map<string, number>();
  #digest: StateDigest = 0n;

  constructor(entries: AgentEntries, shared: SharedFacts) {
    this.#entries = entries;
    this.#shared = shared;
    this.#put(bundleItem(shared.trust.own));
    for (const after of entries.held()) this.#change({ before: undefined, after }, new Set());
  }

  digest(): string {
    return formatDigest(withHash(this.#digest, this.#shared.digest));
  }

  get(key: ItemKey): SyncItem | undefined {
    const { trust, revocations } = this.#shared;
    const id = itemIdOf(key);
    if (key.startsWith('r:')) return revocations.get(key);
    if (key.startsWith('b:')) {
      const bundle = this.#bundleOf(id, trust);
      return bundle && bundleItem(bundle);
    }
    const entry = this.#entries.heldAs(id);
    return entry && entryItem(entry);
  }

  *items(): Generator<SyncItem> {
    const { trust, revocations } = this.#shared;
    yield bundleItem(trust.own);
    for (const name of this.#federated.keys()) {
      const bundle = trust.federated.get(name);
      if (bundle !== undefined) yield bundleItem(bundle);
    }
    yield* revocations.values();
    for (const entry of this.#entries.held()) yield entryItem(entry);
  }

  /** Returns the items that came, went or became others. */
  changeEntries(changes: readonly EntryChange[]): ReadonlySet<ItemKey> {
    const keys = new Set<ItemKey>();
    for (const change of changes) this.#change(change, keys);
    return keys;
  }

  /** As `changeEntries`; the trust map is the one after the changes. */
  changeBundles(changes: readonly BundleChange[]): ReadonlySet<ItemKey> {
    const keys = new Set<ItemKey>();
    const own = this.#shared.trust.own.trustDomain.name;
    for (const { before, after } of changes) {
      const name = (before ?? after)?.trustDomain.name ?? '';
      if (name !== own && !this.#federated.has(name)) continue;
      if (before !== undefined) this.#remove(bundleItem(before));
      if (after !== undefined) this.#put(bundleItem(after));
      keys.add(bundleKeyOf(name));
    }
    return keys;
  }

  #change({ before, after }: EntryChange, keys: Set<ItemKey>): void {
    if (before !== undefined) this.#remove(entryItem(before));
    if (after !== undefined) this.#put(entryItem(after));
    const id = (before ?? after)?.id;
    if (id !== undefined) keys.add(entryKeyOf(id));
    // The new ones first: a bundle that both need stays.
    for (const { name } of after?.federatesWith ?? []) this.#countBundle(name, 1, keys);
    for (const { name } of before?.federatesWith ?? []) this.#countBundle(name, -1, keys);
  }

  #countBundle(name: string, step: 1 | -1, keys: Set<ItemKey>): void {
    const count = (this.#federated.get(name) ?? 0) + step;
    if (count === 0) this.#federated.delete(name);
    else this.#federated.set(name, count);
    const isMoved = count === 0 || (count === 1 && step === 1);
    const bundle = isMoved ? this.#shared.trust.federated.get(name) : undefined;
    if (bundle === undefined) return;
    if (count === 0) this.#remove(bundleItem(bundle));
    else this.#put(bundleItem(bundle));
    keys.add(bundleKeyOf(name));
  }

  #bundleOf(name: string, trust: TrustMap): Bundle | undefined {
    if (name === trust.own.trustDomain.name) return trust.own;
    return this.#federated.has(name) ? trust.federated.get(name) : undefined;
  }

  #put({ hash }: SyncItem): void {
    this.#digest = withHash(this.#digest, hash);
  }

  #remove({ hash }: SyncItem): void {
    this.#digest = withoutHash(this.#digest, hash);
  }
}
