import {
  isCurrent,
  type RegistrationEntry,
  type SelectorSet,
  type TrustMap,
  type TrustMapSource,
  type WorkloadUpdate,
} from '../spiffe/index.ts';
import type { CrlSource } from './crl-source.ts';
import type { RevocationSource } from './revocation-source.ts';
import { SvidCache, type SvidCacheOptions, type SvidLookup } from './svid-cache.ts';
import type { SvidFailure, SvidStanding } from './svid-slot.ts';
import { TimerQueue } from './timer-queue.ts';
import { buildWorkloadUpdate } from './update-builder.ts';

const MAX_REPORTED = 1_000;

/** The entries one agent may serve, live. `match` returns the oldest first. */
export interface EntitlementSource {
  match(selectors: SelectorSet): readonly RegistrationEntry[];
  get(entryId: string): RegistrationEntry | undefined;
  /** False while more may be known elsewhere: before the first word of the server. Watchers are told of the change. */
  isComplete(): boolean;
  watch(listener: () => void): () => void;
}

export interface WorkloadCacheOptions
  extends Omit<SvidCacheOptions<unknown>, 'bundle' | 'onChange' | 'findRevocation'> {
  readonly entitlements: EntitlementSource;
  readonly trust: TrustMapSource;
  /** Default: nothing is revoked. */
  readonly revocations?: RevocationSource;
  /** Default: nobody checks against any. */
  readonly crls?: CrlSource;
  /** Told after somebody came or left. */
  readonly onMembers?: () => void;
}

/** What one set of selectors is entitled to, shared by all its members. */
interface SelectorSetView {
  readonly selectors: SelectorSet;
  readonly members: Set<() => void>;
  entries: readonly RegistrationEntry[];
  update: WorkloadUpdate | undefined;
}

/** A workload's place in a set; `leave` is idempotent. */
export interface Membership {
  readonly selectors: SelectorSet;
  /** Undefined until the first SVIDs have come, or could not be had. */
  readonly update: WorkloadUpdate | undefined;
  leave(): void;
}

/**
 * One immutable update per distinct set of selectors that is in use, built once per change of
 * entries, SVIDs or bundles and published to the set's members. While the entitlements are not
 * complete, what can be served is served at once, and sets for which that is nothing wait.
 */
export class WorkloadCache {
  readonly #options: WorkloadCacheOptions;
  readonly #svids: SvidCache<SelectorSetView>;
  readonly #views = new Map<string, SelectorSetView>();
  /** Keys of the sets that were logged as being without an identity. */
  readonly #reported = new Set<string>();
  readonly #stale = new Set<SelectorSetView>();
  /** When the next entry of a set expires. */
  readonly #expiries: TimerQueue<SelectorSetView>;
  readonly #unwatch: readonly (() => void)[];
  #trust: TrustMap;
  #isComplete: boolean;
  #entriesChanged = false;
  #trustChanged = false;
  #revocationsChanged = false;
  #crlsChanged = false;
  #scheduled: NodeJS.Immediate | undefined;

  constructor(options: WorkloadCacheOptions) {
    this.#options = options;
    this.#trust = options.trust.current();
    this.#isComplete = options.entitlements.isComplete();
    const { revocations } = options;
    this.#svids = new SvidCache({
      ...options,
      bundle: this.#trust.own,
      findRevocation: (subject) => revocations?.find(subject),
      onChange: (views) => this.#onSvids(views),
    });
    this.#sweep();
    const onExpiry = (): void => this.#onEntries();
    this.#expiries = new TimerQueue(options.clock, onExpiry, onExpiry);
    this.#unwatch = [
      options.entitlements.watch(() => this.#onEntries()),
      options.trust.watch(() => this.#onTrust()),
      revocations?.watch(() => this.#onRevocations()) ?? ((): void => {}),
      options.crls?.watch(() => this.#onCrls()) ?? ((): void => {}),
    ];
  }

  /** Distinct selector sets in use. */
  get size(): number {
    return this.#views.size;
  }

  /** Entries with an SVID or on the way to one, held or kept. */
  get svids(): number {
    return this.#svids.size;
  }

  /** Who is there, by selectors. */
  groups(): readonly { readonly selectors: SelectorSet; readonly workloads: number }[] {
    return Array.from(this.#views.values(), ({ selectors, members }) => ({
      selectors,
      workloads: members.size,
    }));
  }

  failing(limit: number): readonly SvidFailure[] {
    return this.#svids.failing(limit);
  }

  standing(entryId: string): SvidStanding | undefined {
    return this.#svids.standing(entryId);
  }

  /** Joins the set; `onUpdate` is called whenever `update` of the membership is a new one, not at once. */
  enter(selectors: SelectorSet, onUpdate: () => void): Membership {
    const view = this.#views.get(selectors.key) ?? this.#open(selectors);
    view.members.add(onUpdate);
    this.#options.onMembers?.();
    return {
      selectors,
      get update() {
        return view.update;
      },
      leave: () => {
        if (!view.members.delete(onUpdate)) return;
        if (view.members.size === 0) this.#shut(view);
        this.#options.onMembers?.();
      },
    };
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
    clearImmediate(this.#scheduled);
    this.#views.clear();
    this.#stale.clear();
    this.#expiries.close();
    this.#svids.close();
    this.#options.metrics.sets.set(0);
  }

  #open(selectors: SelectorSet): SelectorSetView {
    const view: SelectorSetView = { selectors, members: new Set(), entries: [], update: undefined };
    this.#views.set(selectors.key, view);
    this.#options.metrics.sets.set(this.#views.size);
    this.#match(view);
    this.#publish(view);
    return view;
  }

  #shut(view: SelectorSetView): void {
    this.#views.delete(view.selectors.key);
    this.#stale.delete(view);
    this.#expiries.cancel(view);
    this.#options.metrics.sets.set(this.#views.size);
    for (const entry of view.entries) this.#svids.release(entry.id, view);
  }

  #onSvids(views: Iterable<SelectorSetView>): void {
    for (const view of views) this.#stale.add(view);
    this.#schedule();
  }

  #onEntries(): void {
    this.#entriesChanged = true;
    this.#schedule();
  }

  #onTrust(): void {
    this.#trustChanged = true;
    this.#schedule();
  }

  #onRevocations(): void {
    this.#revocationsChanged = true;
    this.#schedule();
  }

  #onCrls(): void {
    this.#crlsChanged = true;
    this.#schedule();
  }

  /** What one turn of the event loop brings is handled together. */
  #schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.#refresh();
    });
  }

  #refresh(): void {
    const hasCompleted = this.#hasCompleted();
    const isWide = this.#trustChanged || this.#crlsChanged || hasCompleted;
    this.#crlsChanged = false;
    if (this.#entriesChanged) this.#rematch();
    if (this.#trustChanged) this.#retrust();
    if (this.#revocationsChanged) this.#rejudge();
    if (hasCompleted) this.#svids.retry();
    for (const view of isWide ? this.#views.values() : this.#stale) this.#publish(view);
    this.#stale.clear();
  }

  #hasCompleted(): boolean {
    const wasComplete = this.#isComplete;
    this.#isComplete = this.#options.entitlements.isComplete();
    return this.#isComplete && !wasComplete;
  }

  #rematch(): void {
    this.#entriesChanged = false;
    for (const view of this.#views.values()) this.#match(view);
    this.#sweep();
  }

  #sweep(): void {
    const { entitlements } = this.#options;
    if (this.#isComplete) this.#svids.sweep((entryId) => entitlements.get(entryId) !== undefined);
  }

  #retrust(): void {
    this.#trustChanged = false;
    this.#trust = this.#options.trust.current();
    this.#svids.retrust(this.#trust.own);
  }

  #rejudge(): void {
    this.#revocationsChanged = false;
    this.#svids.rejudge();
  }

  #match(view: SelectorSetView): void {
    const before = view.entries;
    const entries = this.#entitled(view.selectors);
    view.entries = entries;
    this.#awaitExpiry(view);
    if (isSameList(entries, before)) return;
    const ids = new Set(entries.map(({ id }) => id));
    for (const entry of entries) this.#svids.retain(entry, view);
    for (const { id } of before) if (!ids.has(id)) this.#svids.release(id, view);
    this.#stale.add(view);
  }

  #entitled(selectors: SelectorSet): readonly RegistrationEntry[] {
    const now = this.#options.clock.now();
    return this.#options.entitlements.match(selectors).filter((entry) => isCurrent(entry, now));
  }

  #awaitExpiry(view: SelectorSetView): void {
    const expiries = view.entries.flatMap(({ expiresAt }) => expiresAt ?? []);
    if (expiries.length === 0) this.#expiries.cancel(view);
    else this.#expiries.schedule(view, Math.min(...expiries));
  }

  /** Builds the view's update and tells its members if its content is new. */
  #publish(view: SelectorSetView): void {
    const now = this.#options.clock.now();
    const found = view.entries.map((entry) => ({ entry, ...this.#svids.lookup(entry.id) }));
    const crls = this.#options.crls?.current(this.#trust.own);
    const update = buildWorkloadUpdate(found, this.#trust, now, crls);
    if (this.#mustWait(view.update, update, found)) {
      // None of its identities may be served any more, if there is one: those who come now wait too.
      view.update = undefined;
      return;
    }
    if (update.version === view.update?.version) return;
    view.update = update;
    this.#options.metrics.updates.inc();
    if (update.identities.length === 0) this.#logEmpty(view);
    else this.#reported.delete(view.selectors.key);
    for (const onUpdate of view.members) onUpdate();
  }

  /**
   * While first SVIDs are under way: the first update waits until all have come or failed, so that the
   * default identity does not change a moment later; and nobody is told of a moment without identities,
   * as after a machine has slept for longer than they live. What an agent knows from before its start
   * waits for nothing, as its server may be away; but it never says that there is no identity.
   */
  #mustWait(
    before: WorkloadUpdate | undefined,
    after: WorkloadUpdate,
    found: readonly SvidLookup[],
  ): boolean {
    const isEmpty = after.identities.length === 0;
    if (!this.#isComplete) return isEmpty;
    return found.some(({ isPending }) => isPending) && (before === undefined || isEmpty);
  }

  /** Once for each set: a workload without identity comes back every few seconds. */
  #logEmpty({ selectors, entries }: SelectorSetView): void {
    if (this.#reported.has(selectors.key)) return;
    if (this.#reported.size === MAX_REPORTED) this.#reported.clear();
    this.#reported.add(selectors.key);
    const why = entries.length === 0 ? 'no registration entry matches' : 'no SVID could be had';
    this.#options.log.info({ selectors: selectors.texts, why }, 'workloads without an identity');
  }
}

function isSameList<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((each, index) => each === other[index]);
}
