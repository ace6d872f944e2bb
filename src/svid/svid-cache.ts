import type { Tracing } from '../ops/index.ts';
import {
  type Bundle,
  type Clock,
  messageOf,
  type P256KeyPair,
  type RegistrationEntry,
  TrustplaneError,
} from '../spiffe/index.ts';
import { authorityIndex } from './authority-index.ts';
import { checkGrant } from './check-grant.ts';
import { checkRevoked, type FindRevocation, isSvidRevoked } from './check-revoked.ts';
import { type IssueOrder, type IssueOutcome, IssueQueue } from './issue-queue.ts';
import { type IssuedSvid, isServable, profileOf } from './issued-svid.ts';
import { renewAt, retryDelayMs } from './renewal.ts';
import { RestoredSvids, type RestoredSvidsOptions } from './restored-svid.ts';
import type { SvidIssuer } from './svid-issuer.ts';
import type { SvidMetrics } from './svid-metrics.ts';
import {
  createSvidSlot,
  failureOf,
  isOutdated,
  type StagedSvid,
  type SvidFailure,
  type SvidSlot,
  type SvidStanding,
  stageSvid,
  standingOf,
  wakeAt,
} from './svid-slot.ts';
import { TimerQueue } from './timer-queue.ts';

/** SVIDs that nobody holds now but somebody may soon ask for again. */
const MAX_IDLE = 1_000;

export interface SvidCacheOptions<H> extends RestoredSvidsOptions {
  readonly issuer: SvidIssuer;
  readonly clock: Clock;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
  readonly generateKeyPair: () => P256KeyPair;
  readonly metrics: SvidMetrics;
  /** The own bundle now; later ones come through `retrust`. */
  readonly bundle: Bundle;
  /** What refuses an SVID now; changes come through `rejudge`. Default: nothing is revoked. */
  readonly findRevocation?: FindRevocation;
  /** Default: nothing is traced. */
  readonly tracing?: Pick<Tracing, 'follow' | 'note'> | undefined;
  /** What `lookup` says has changed for these holders. */
  readonly onChange: (holders: ReadonlySet<H>) => void;
}

/** What is known of one entry's SVID. */
export interface SvidLookup {
  /** The one to serve, if there is one. */
  readonly svid: IssuedSvid | undefined;
  /** There is none to serve, but the first attempt to get one is still under way. */
  readonly isPending: boolean;
}

/**
 * One X509-SVID per entry that somebody holds: made, renewed and replaced here, each with a key of
 * its own. The old one stays until the new one is in place; an expired or revoked one is never
 * served. One that nobody holds any more is kept, without renewal, as long as it is valid.
 */
export class SvidCache<H> {
  readonly #options: SvidCacheOptions<H>;
  readonly #slots = new Map<string, SvidSlot<H>>();
  /** Ids of the slots without holders, the longest idle first. */
  readonly #idle = new Set<string>();
  readonly #timers: TimerQueue<string>;
  readonly #queue: IssueQueue;
  readonly #restored: RestoredSvids;
  #bundle: Bundle;
  #live = 0;

  constructor(options: SvidCacheOptions<H>) {
    this.#options = options;
    this.#bundle = options.bundle;
    this.#queue = new IssueQueue(options);
    options.metrics.watchAges(() => this.ages());
    this.#restored = new RestoredSvids(options);
    this.#timers = new TimerQueue(
      options.clock,
      (ids) => this.#onDue(ids),
      () => this.#onRewind(),
    );
  }

  /** Of what somebody holds, in seconds. */
  ages(): { readonly oldest: number | undefined; readonly leastLeft: number | undefined } {
    const now = this.#options.clock.now();
    let [issuedAt, expiresAt] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (const { current, holders } of this.#slots.values()) {
      if (current === undefined || holders.size === 0) continue;
      issuedAt = Math.min(issuedAt, current.issuedAt);
      expiresAt = Math.min(expiresAt, current.expiresAt);
    }
    if (expiresAt === Number.POSITIVE_INFINITY) return { oldest: undefined, leastLeft: undefined };
    return { oldest: (now - issuedAt) / 1_000, leastLeft: (expiresAt - now) / 1_000 };
  }

  /** How many entries are known, held or idle. */
  get size(): number {
    return this.#slots.size;
  }

  /** Holds the entry's SVID for `holder`; also tells of the entry's new version. */
  retain(entry: RegistrationEntry, holder: H): void {
    const known = this.#slots.get(entry.id);
    const slot = known ?? createSvidSlot<H>(entry);
    const hasChanged = slot.entry !== entry;
    this.#slots.set(entry.id, slot);
    this.#idle.delete(entry.id);
    slot.holders.add(holder);
    slot.entry = entry;
    if (known === undefined) this.#restore(slot);
    if ((known === undefined || hasChanged) && isOutdated(slot)) this.#renewNow(slot);
    else this.#arm(slot);
    this.#count();
  }

  release(entryId: string, holder: H): void {
    const slot = this.#slots.get(entryId);
    if (slot === undefined || !slot.holders.delete(holder) || slot.holders.size > 0) return;
    this.#idle.add(entryId);
    const [longest] = this.#idle;
    if (slot.current === undefined) this.#forget(slot);
    else if (this.#idle.size > MAX_IDLE && longest !== undefined) this.#forgetId(longest);
    else this.#arm(slot);
    this.#count();
  }

  /** Drops at once what nobody holds and no entry entitles to any more. */
  sweep(exists: (entryId: string) => boolean): void {
    for (const entryId of this.#idle) if (!exists(entryId)) this.#forgetId(entryId);
    this.#restored.sweep(exists);
    this.#count();
  }

  lookup(entryId: string): SvidLookup {
    const slot = this.#slots.get(entryId);
    if (slot === undefined) return { svid: undefined, isPending: false };
    if (this.#isServable(slot)) return { svid: slot.current, isPending: false };
    return { svid: undefined, isPending: slot.attempt !== 'none' && slot.failures === 0 };
  }

  /** Undefined for an entry that nobody has asked for lately. */
  standing(entryId: string): SvidStanding | undefined {
    const slot = this.#slots.get(entryId);
    return slot && standingOf(slot, this.#isServable(slot));
  }

  /** Takes the new own bundle: SVIDs that waited for it come into use, those it taints or lacks are renewed. */
  retrust(bundle: Bundle): void {
    this.#bundle = bundle;
    const authorities = authorityIndex(bundle);
    for (const slot of this.#slots.values()) {
      if (slot.staged !== undefined) this.#placeStaged(slot, slot.staged);
      const authority = slot.current?.authority;
      if (authority === undefined) continue;
      if (!authorities.has(authority) || authorities.isTainted(authority)) this.#renewNow(slot);
    }
  }

  /** Drops at once what is revoked now; what is still needed is issued anew. */
  rejudge(): void {
    const { findRevocation } = this.#options;
    for (const slot of this.#slots.values()) {
      const { current, entry } = slot;
      if (current === undefined || !isSvidRevoked(entry.id, current, findRevocation)) continue;
      this.#options.log.warn(failureOf(slot), 'X509-SVID revoked');
      this.#replace(slot, undefined);
      this.#renewNow(slot);
      this.#options.onChange(slot.holders);
    }
    this.#count();
  }

  /** Tries again at once what has failed: whoever issues can be reached now. */
  retry(): void {
    for (const slot of this.#slots.values()) if (slot.failures > 0) this.#renewNow(slot);
  }

  /** Entries that have failed since their last success; at most `limit`. */
  failing(limit: number): readonly SvidFailure[] {
    const failures: SvidFailure[] = [];
    for (const slot of this.#slots.values()) {
      if (failures.length === limit) break;
      if (slot.failures > 0) failures.push(failureOf(slot));
    }
    return failures;
  }

  close(): void {
    this.#timers.close();
    this.#queue.close();
    this.#slots.clear();
    this.#idle.clear();
    this.#live = 0;
    this.#count();
  }

  #isServable({ entry, current }: SvidSlot<H>): boolean {
    if (current === undefined) return false;
    return isServable(entry, current, this.#bundle, this.#options.clock.now());
  }

  /** What nobody holds is not worth a renewal. */
  #renewNow(slot: SvidSlot<H>): void {
    if (slot.holders.size === 0) return this.#forget(slot);
    slot.failures = 0;
    if (slot.attempt === 'none') this.#enqueue(slot);
  }

  #enqueue(slot: SvidSlot<H>): void {
    slot.attempt = 'queued';
    this.#queue.add(slot.entry.id, !this.#isServable(slot), () => this.#order(slot));
    this.#arm(slot);
  }

  #order(slot: SvidSlot<H>): IssueOrder {
    slot.attempt = 'flying';
    const { entry } = slot;
    const { tracing } = this.#options;
    const span = tracing?.follow('svid.issue', entry.id, { entry_id: entry.id });
    return {
      entryId: entry.id,
      spiffeId: entry.spiffeId,
      done: (outcome) => {
        if (span !== undefined) tracing?.note(entry.id, span.traceparent);
        span?.end('error' in outcome ? messageOf(outcome.error) : undefined);
        this.#onOutcome(slot, entry, outcome);
      },
    };
  }

  #onOutcome(slot: SvidSlot<H>, asked: RegistrationEntry, outcome: IssueOutcome): void {
    if (this.#slots.get(asked.id) !== slot) return;
    slot.attempt = 'none';
    try {
      if ('error' in outcome) throw outcome.error;
      this.#place(slot, this.#accept(asked, outcome));
    } catch (error) {
      this.#fail(slot, error);
    }
    if (profileOf(slot.entry) !== profileOf(asked)) this.#renewNow(slot);
    this.#arm(slot);
    this.#count();
    this.#options.onChange(slot.holders);
  }

  #accept(
    entry: RegistrationEntry,
    { issued, keys }: Extract<IssueOutcome, { issued: unknown }>,
  ): StagedSvid {
    const parsed = checkGrant(issued, keys, entry.spiffeId);
    this.#options.metrics.issued.inc();
    return stageSvid(parsed, {
      certificateChain: issued.certificateChain,
      privateKey: keys.privateKey,
      issuedAt: this.#options.clock.now(),
      profile: profileOf(entry),
    });
  }

  /**
   * Brings an SVID into use, or keeps it ready until the bundle has its authority.
   * @throws TrustplaneError why it is not in use, or should not stay there
   */
  #place(slot: SvidSlot<H>, staged: StagedSvid): void {
    const { clock, random, findRevocation } = this.#options;
    slot.staged = staged;
    const authorities = authorityIndex(this.#bundle);
    const authority = authorities.find(staged.parsed, clock.now());
    slot.staged = undefined;
    checkRevoked(slot.entry.id, staged.svid, findRevocation);
    const isTainted = authorities.isTainted(authority);
    if (!isTainted || !this.#isServable(slot)) this.#replace(slot, { ...staged.svid, authority });
    if (isTainted) {
      throw new TrustplaneError('ERR_SVID_AUTHORITY', 'the issuer still signs with a tainted key');
    }
    slot.failures = 0;
    slot.error = '';
    slot.errorCode = undefined;
    slot.nextAttemptAt = renewAt(staged.svid.issuedAt, staged.svid.expiresAt, random());
  }

  #placeStaged(slot: SvidSlot<H>, staged: StagedSvid): void {
    try {
      this.#place(slot, staged);
      this.#arm(slot);
    } catch (error) {
      slot.error = messageOf(error);
    }
  }

  /** Brings the entry's SVID from before into use, if it is good. */
  #restore(slot: SvidSlot<H>): void {
    const { clock, random, findRevocation } = this.#options;
    this.#restored.take(slot.entry, ({ parsed, svid }) => {
      const authority = authorityIndex(this.#bundle).find(parsed, clock.now());
      checkRevoked(slot.entry.id, svid, findRevocation);
      this.#use(slot, { ...svid, authority });
      slot.nextAttemptAt = renewAt(svid.issuedAt, svid.expiresAt, random());
    });
  }

  #fail(slot: SvidSlot<H>, error: unknown): void {
    const { clock, random, log, metrics } = this.#options;
    const now = clock.now();
    slot.failures++;
    slot.error = messageOf(error);
    slot.errorCode = error instanceof TrustplaneError ? error.code : undefined;
    const leftMs = slot.current === undefined ? undefined : slot.current.expiresAt - now;
    const retryInMs = retryDelayMs(slot.failures, leftMs, random());
    slot.nextAttemptAt = now + retryInMs;
    metrics.failures.inc();
    log.warn({ ...failureOf(slot), retryInMs }, 'X509-SVID not issued; it will be tried again');
  }

  #onDue(ids: readonly string[]): void {
    const now = this.#options.clock.now();
    for (const id of ids) {
      const slot = this.#slots.get(id);
      if (slot === undefined) continue;
      const isOver = (slot.current?.expiresAt ?? 0) <= now;
      if (slot.holders.size === 0 && isOver) {
        this.#forget(slot);
        continue;
      }
      if (slot.current !== undefined && isOver) this.#expire(slot);
      if (wakeAt(slot) <= now) this.#enqueue(slot);
      else this.#arm(slot);
    }
    this.#count();
  }

  #expire(slot: SvidSlot<H>): void {
    this.#options.metrics.expired.inc();
    this.#options.log.error(failureOf(slot), 'X509-SVID expired before it could be renewed');
    this.#replace(slot, undefined);
    this.#options.onChange(slot.holders);
  }

  /** SVIDs from what is now the future are of no use to anybody: their notBefore lies ahead. */
  #onRewind(): void {
    const now = this.#options.clock.now();
    for (const slot of this.#slots.values()) {
      if (slot.current === undefined || slot.current.issuedAt > now) this.#renewNow(slot);
    }
  }

  #arm(slot: SvidSlot<H>): void {
    const at = wakeAt(slot);
    if (at === Number.POSITIVE_INFINITY) this.#timers.cancel(slot.entry.id);
    else this.#timers.schedule(slot.entry.id, at);
  }

  #replace(slot: SvidSlot<H>, svid: IssuedSvid | undefined): void {
    if (slot.current === svid) return;
    this.#use(slot, svid);
    this.#options.onSvid?.(slot.entry.id, svid);
  }

  #use(slot: SvidSlot<H>, svid: IssuedSvid | undefined): void {
    this.#live += Number(svid !== undefined) - Number(slot.current !== undefined);
    slot.current = svid;
  }

  #forgetId(entryId: string): void {
    const slot = this.#slots.get(entryId);
    if (slot !== undefined) this.#forget(slot);
  }

  #forget(slot: SvidSlot<H>): void {
    this.#replace(slot, undefined);
    this.#slots.delete(slot.entry.id);
    this.#idle.delete(slot.entry.id);
    this.#timers.cancel(slot.entry.id);
    this.#queue.remove(slot.entry.id);
  }

  #count(): void {
    this.#options.metrics.live.set(this.#live);
    this.#options.metrics.wanted.set(this.#slots.size - this.#idle.size);
  }
}
