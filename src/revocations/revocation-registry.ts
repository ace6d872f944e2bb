import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  findRevocation,
  messageOf,
  type Revocation,
  type RevocationSubject,
  type SpiffeId,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Bucket, BucketFeed, type FeedTarget, unlessConflict } from '../store/index.ts';
import { joinRevocations } from './join-revocations.ts';
import { decodeRevocation, encodeRevocation, revocationKey } from './revocation-record.ts';
import { type RevocationChange, RevocationView } from './revocation-view.ts';
import { Room } from './room.ts';
import { isSuspensionKey } from './suspension-record.ts';
import { SuspensionView } from './suspension-view.ts';
import { Suspensions } from './suspensions.ts';

export type { RevocationChange } from './revocation-view.ts';

/** A revocation that is to be; its subject makes its ID. */
export type RevocationDraft = Omit<Revocation, 'id'>;

export interface RevocationRegistryOptions {
  /** The bucket `revocations`. */
  readonly bucket: Bucket;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

interface Stored {
  /** Undefined: it cannot be read. */
  readonly revocation: Revocation | undefined;
  readonly revision: number;
}

const MAX_ATTEMPTS = 32;
const MAX_REVOCATIONS = 100_000;
const MAX_TEXT_BYTES = 2_048;
const PRUNE_EVERY_MS = 600_000;
/** Clocks of servers and agents differ. */
const PRUNE_AFTER_MS = 300_000;
const PRUNE_AT_ONCE = 256;

/**
 * The revocations of a trust domain, and with them, in one bucket, its suspensions. `add` resolves when it
 * is durable and this registry's own view has it. Expired ones are deleted by every server, where they are still as
 * they were.
 */
export class RevocationRegistry {
  readonly suspensions: Suspensions;
  readonly #options: RevocationRegistryOptions;
  readonly #view: RevocationView;
  readonly #suspended: SuspensionView;
  readonly #feed: BucketFeed;
  /** How often each SPIFFE ID is held. */
  readonly #holds = new Map<string, number>();
  #following: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  /** When it was last looked for what has expired; a clock that is ahead for a while deletes nothing. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  readonly #room: Room;
  #isClosed = false;

  private constructor(options: RevocationRegistryOptions) {
    this.#options = options;
    this.#view = new RevocationView(options);
    this.#suspended = new SuspensionView(options);
    this.#feed = new BucketFeed({
      ...options,
      what: 'revocations',
      target: feedBoth(this.#view, this.#suspended),
      closedCode: 'ERR_REVOCATION_CLOSED',
    });
    this.#room = new Room(MAX_REVOCATIONS, {
      size: () => this.#view.size,
      outdated: () => this.#view.expired(options.clock.now()).length,
    });
    this.suspensions = new Suspensions({ ...options, view: this.#suspended, feed: this.#feed });
  }

  /** Reads all revocations and follows their changes until `close`. @throws TrustplaneError ERR_STORE_* */
  static async load(options: RevocationRegistryOptions): Promise<RevocationRegistry> {
    const registry = new RevocationRegistry(options);
    await registry.#feed.load();
    registry.#following = registry.#feed.follow();
    registry.#schedule(0);
    return registry;
  }

  /** Up to which revision of the bucket it is known. */
  get revision(): number {
    return this.#feed.revision;
  }

  /** Resolves when all is known that another server knew at that revision; see BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#feed.catchUp(revision);
  }

  /** The same list until something changes. */
  list(): readonly Revocation[] {
    return this.#view.list;
  }

  /** Calls the listener, which must not throw, with what has changed; returns the way to stop. */
  watch(listener: (changes: readonly RevocationChange[]) => void): () => void {
    return this.#view.watch(listener);
  }

  /** The revocation that refuses the SVID. */
  find(subject: RevocationSubject): Revocation | undefined {
    return findRevocation(this.#view.index, subject);
  }

  /**
   * Whether an SVID may be issued now: one that is made at `subject.issuedAt` must not be refused
   * from the beginning, and none is for a subject that is suspended.
   * @throws TrustplaneError ERR_SVID_SUSPENDED, ERR_SVID_REVOKED
   */
  checkIssuance(subject: RevocationSubject): void {
    this.suspensions.check(subject);
    const id = subject.spiffeId.toString();
    if (!this.#holds.has(id) && this.find(subject) === undefined) return;
    throw new TrustplaneError(
      'ERR_SVID_REVOKED',
      `SVIDs of ${id} are being revoked just now, or the clock is behind a revocation; try again`,
    );
  }

  /**
   * Lets `work` run while nothing is issued to the ID: what was issued before it has begun is older
   * than any instant in it.
   */
  async withoutIssuance<T>(spiffeId: SpiffeId, work: () => Promise<T>): Promise<T> {
    const id = spiffeId.toString();
    this.#holds.set(id, (this.#holds.get(id) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#holds.get(id) ?? 1) - 1;
      if (left === 0) this.#holds.delete(id);
      else this.#holds.set(id, left);
    }
  }

  /**
   * Revokes; what is revoked already stays so, with the later of both instants. Nothing is written when
   * nothing changes.
   * @throws TrustplaneError ERR_REVOCATION, ERR_REVOCATION_LIMIT, ERR_REVOCATION_CONFLICT,
   * ERR_REVOCATION_CLOSED, ERR_STORE_*
   */
  async add(given: RevocationDraft): Promise<Revocation> {
    checkDraft(given);
    const draft = { ...given, value: normalizeValue(given) };
    const { bucket } = this.#options;
    const id = revocationKey(draft);
    let stored: Stored | undefined = this.#view.at(id);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const after = joinRevocations({ id, ...draft }, stored?.revocation);
      if (stored !== undefined && after === stored.revocation) {
        await this.#feed.reached(stored.revision);
        return after;
      }
      if (stored === undefined) this.#requireRoom();
      const value = encodeRevocation(after);
      const expected = stored?.revision ?? 0;
      const revision = await unlessConflict(() => bucket.put(id, value, expected));
      if (revision !== undefined) {
        await this.#feed.reached(revision);
        return after;
      }
      stored = await this.#read(id);
    }
    const message = `the revocation of ${draft.value} was changed by others ${MAX_ATTEMPTS} times meanwhile; try again`;
    throw new TrustplaneError('ERR_REVOCATION_CONFLICT', message);
  }

  /** Stops following; waiting writes reject with ERR_REVOCATION_CLOSED. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#feed.close();
    await this.#following;
  }

  /** What another server wrote meanwhile. A record that cannot be read gives way to one that can. */
  async #read(id: string): Promise<Stored | undefined> {
    const stored = await this.#options.bucket.get(id);
    if (stored === undefined) return undefined;
    const { value, revision } = stored;
    try {
      return { revocation: decodeRevocation(id, value), revision };
    } catch {
      return { revocation: undefined, revision };
    }
  }

  #requireRoom(): void {
    if (this.#room.take()) return;
    const message = `there are ${this.#view.size} revocations, the most allowed; they go as they expire`;
    throw new TrustplaneError('ERR_REVOCATION_LIMIT', message);
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#prune());
  }

  /** What was expired the last time too is deleted if it is still what it was; the rest is for next time. */
  async #prune(): Promise<void> {
    const { bucket, clock, log } = this.#options;
    const now = clock.now();
    const before = Math.min(now, this.#lookedAt) - PRUNE_AFTER_MS;
    this.#lookedAt = now;
    const expired = [
      ...this.#view.expired(before).map(({ revocation: { id }, revision }) => ({ id, revision })),
      ...this.#suspended.outdated(before).map(({ fact: { id }, revision }) => ({ id, revision })),
    ];
    try {
      for (let begin = 0; begin < expired.length && !this.#isClosed; begin += PRUNE_AT_ONCE) {
        const some = expired.slice(begin, begin + PRUNE_AT_ONCE);
        await Promise.all(
          some.map(({ id, revision }) => unlessConflict(() => bucket.delete(id, revision))),
        );
      }
    } catch (error) {
      if (!this.#isClosed) log.warn({ error: messageOf(error) }, 'expired revocations are kept');
    }
    if (!this.#isClosed) this.#schedule(PRUNE_EVERY_MS);
  }
}

/** Each gets what is its own; what is suspended is known before what is revoked. */
function feedBoth(revocations: FeedTarget, suspensions: FeedTarget): FeedTarget {
  return {
    onSnapshot({ records, revision }) {
      const isOf = ({ key }: { readonly key: string }): boolean => isSuspensionKey(key);
      suspensions.onSnapshot({ records: records.filter(isOf), revision });
      revocations.onSnapshot({ records: records.filter((one) => !isOf(one)), revision });
    },
    onEvent(event) {
      if (isSuspensionKey(event.key)) suspensions.onEvent(event);
      else revocations.onEvent(event);
    },
  };
}

/** Serial numbers are hex with and without leading zeros, in both cases. */
function normalizeValue({ kind, value }: RevocationDraft): string {
  return kind === 'serial' ? value.toLowerCase().replace(/^0+(?=.)/u, '') : value;
}

function checkDraft({ value, reason, by, issuedBefore, expiresAt }: RevocationDraft): void {
  const isText = (text: string): boolean => Buffer.byteLength(text) <= MAX_TEXT_BYTES;
  const isInstant = (instant: number): boolean => Number.isSafeInteger(instant) && instant >= 0;
  if (value !== '' && [value, reason, by ?? ''].every(isText)) {
    if (isInstant(issuedBefore) && isInstant(expiresAt)) return;
  }
  throw new TrustplaneError(
    'ERR_REVOCATION',
    `a revocation: expected a subject and a reason of at most ${MAX_TEXT_BYTES} bytes and instants in milliseconds; got ${value.length} and ${reason.length} characters, ${issuedBefore} and ${expiresAt}`,
  );
}
