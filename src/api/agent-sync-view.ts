import type { AgentEntries, EntryChange } from '../entries/index.ts';
import {
  bundleItem,
  entryItem,
  entryKeyOf,
  formatDigest,
  type ItemKey,
  itemIdOf,
  type StateDigest,
  type SyncItem,
  type SyncView,
  termsItem,
  withHash,
  withoutHash,
} from '../sync/index.ts';
import {
  type DomainTrust,
  domainTrust,
  type SharedFacts,
  type TrustChange,
} from './shared-facts.ts';

/**
 * What one agent is to know now: its entries, the own bundle, bundles and terms of the trust domains its
 * entries federate with, and all revocations. Only the sum over its entries and domains is its own. An
 * agent that takes no terms has no bundle of a domain whose terms accept but some IDs: it would accept all.
 * The policies, and the CRLs, are for those that take them.
 */
export class AgentSyncView implements SyncView {
  readonly takesTerms: boolean;
  readonly takesPolicies: boolean;
  readonly takesCrls: boolean;
  readonly #entries: AgentEntries;
  readonly #shared: SharedFacts;
  /** How many entries federate with each trust domain. */
  readonly #federated = new Map<string, number>();
  #digest: StateDigest = 0n;

  constructor(
    entries: AgentEntries,
    shared: SharedFacts,
    {
      takesTerms,
      takesPolicies = false,
      takesCrls = false,
    }: {
      takesTerms: boolean;
      takesPolicies?: boolean | undefined;
      takesCrls?: boolean | undefined;
    },
  ) {
    this.#entries = entries;
    this.#shared = shared;
    this.takesTerms = takesTerms;
    this.takesPolicies = takesPolicies;
    this.takesCrls = takesCrls;
    this.#put(bundleItem(shared.trust.own));
    for (const after of entries.held()) this.#change({ before: undefined, after }, new Set());
  }

  digest(): string {
    const { digest, policiesDigest, crlsDigest } = this.#shared;
    const withPolicies = this.takesPolicies ? withHash(digest, policiesDigest) : digest;
    const shared = this.takesCrls ? withHash(withPolicies, crlsDigest) : withPolicies;
    return formatDigest(withHash(this.#digest, shared));
  }

  get(key: ItemKey): SyncItem | undefined {
    const id = itemIdOf(key);
    if (key.startsWith('r:')) return this.#shared.revocations.get(key);
    if (key.startsWith('c:')) return this.takesCrls ? this.#shared.crls.get(key) : undefined;
    if (key.startsWith('p:') || key.startsWith('f:')) {
      return this.takesPolicies ? this.#shared.policies.get(key) : undefined;
    }
    if (key.startsWith('b:') || key.startsWith('t:')) {
      return this.#itemsOfDomain(id).find((item) => item.key === key);
    }
    const entry = this.#entries.heldAs(id);
    return entry && entryItem(entry);
  }

  *items(): Generator<SyncItem> {
    const { trust, revocations, policies, crls } = this.#shared;
    yield bundleItem(trust.own);
    for (const name of this.#federated.keys()) yield* this.#itemsOfDomain(name);
    yield* revocations.values();
    if (this.takesPolicies) yield* policies.values();
    if (this.takesCrls) yield* crls.values();
    for (const entry of this.#entries.held()) yield entryItem(entry);
  }

  /** Returns the items that came, went or became others. */
  changeEntries(changes: readonly EntryChange[]): ReadonlySet<ItemKey> {
    const keys = new Set<ItemKey>();
    for (const change of changes) this.#change(change, keys);
    return keys;
  }

  /** As `changeEntries`; the trust map is the one after the changes. */
  changeTrust(changes: readonly TrustChange[]): ReadonlySet<ItemKey> {
    const keys = new Set<ItemKey>();
    for (const { name, before, after } of changes) {
      if (!this.#isHeld(name)) continue;
      const [old, next] = [this.#itemsOf(name, before), this.#itemsOf(name, after)];
      for (const item of old) if (!next.includes(item)) this.#remove(item, keys);
      for (const item of next) if (!old.includes(item)) this.#put(item, keys);
    }
    return keys;
  }

  #change({ before, after }: EntryChange, keys: Set<ItemKey>): void {
    if (before !== undefined) this.#remove(entryItem(before));
    if (after !== undefined) this.#put(entryItem(after));
    const id = (before ?? after)?.id;
    if (id !== undefined) keys.add(entryKeyOf(id));
    // The new ones first: a bundle that both need stays.
    for (const { name } of after?.federatesWith ?? []) this.#countDomain(name, 1, keys);
    for (const { name } of before?.federatesWith ?? []) this.#countDomain(name, -1, keys);
  }

  #countDomain(name: string, step: 1 | -1, keys: Set<ItemKey>): void {
    if (name === this.#shared.trust.own.trustDomain.name) return;
    const count = (this.#federated.get(name) ?? 0) + step;
    if (count === 0) for (const item of this.#itemsOfDomain(name)) this.#remove(item, keys);
    if (count === 0) this.#federated.delete(name);
    else this.#federated.set(name, count);
    if (count === 1 && step === 1) {
      for (const item of this.#itemsOfDomain(name)) this.#put(item, keys);
    }
  }

  #isHeld(name: string): boolean {
    return this.#federated.has(name) || name === this.#shared.trust.own.trustDomain.name;
  }

  #itemsOfDomain(name: string): readonly SyncItem[] {
    if (!this.#isHeld(name)) return [];
    return this.#itemsOf(name, domainTrust(this.#shared.trust, name));
  }

  #itemsOf(name: string, { bundle, terms }: DomainTrust): readonly SyncItem[] {
    const isScoped = terms !== undefined && terms.accept.length > 0;
    const items: SyncItem[] = [];
    if (terms !== undefined && this.takesTerms) items.push(termsItem(name, terms));
    if (bundle !== undefined && (this.takesTerms || !isScoped)) items.push(bundleItem(bundle));
    return items;
  }

  #put({ key, hash }: SyncItem, keys?: Set<ItemKey>): void {
    this.#digest = withHash(this.#digest, hash);
    keys?.add(key);
  }

  #remove({ key, hash }: SyncItem, keys?: Set<ItemKey>): void {
    this.#digest = withoutHash(this.#digest, hash);
    keys?.add(key);
  }
}
