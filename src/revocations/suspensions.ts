import {
  type Clock,
  type SpiffeId,
  type Suspension,
  type SuspensionKind,
  type SuspensionSource,
  type SuspensionSubject,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Bucket, type BucketFeed, readOrUndefined, unlessConflict } from '../store/index.ts';
import { Room } from './room.ts';
import {
  decodeSuspension,
  encodeSuspension,
  type SuspensionFact,
  saidAt,
  suspensionKey,
} from './suspension-record.ts';
import type { SuspensionView } from './suspension-view.ts';

export interface SuspensionsOptions {
  /** The bucket `revocations`. */
  readonly bucket: Bucket;
  readonly view: SuspensionView;
  readonly feed: Pick<BucketFeed, 'reached'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** What is said of a subject, by whom and why. */
export interface SuspensionDraft {
  readonly kind: SuspensionKind;
  readonly value: string;
  readonly reason: string;
  readonly by: string;
}

interface Stored {
  /** Undefined: it cannot be read. */
  readonly fact: SuspensionFact | undefined;
  readonly revision: number;
}

const MAX_ATTEMPTS = 32;
/** With those that were lifted. */
const MAX_SUSPENSIONS = 20_000;
const MAX_TEXT_BYTES = 2_048;

/**
 * The suspensions of a trust domain. Writes resolve when they are durable and this registry's own view has them.
 * Whatever is said of one subject is later than what was said before, also by clocks that are behind.
 */
export class Suspensions implements SuspensionSource {
  readonly #options: SuspensionsOptions;
  readonly #room: Room;

  constructor(options: SuspensionsOptions) {
    this.#options = options;
    const { view, clock } = options;
    this.#room = new Room(MAX_SUSPENSIONS, {
      size: () => view.size,
      outdated: () => view.outdated(clock.now()).length,
    });
  }

  find(subject: SuspensionSubject): Suspension | undefined {
    return this.#options.view.find(subject);
  }

  list(): readonly Suspension[] {
    return this.#options.view.list;
  }

  /** Also those that were lifted. */
  facts(): readonly SuspensionFact[] {
    return this.#options.view.facts;
  }

  watch(listener: () => void): () => void {
    return this.#options.view.watch(listener);
  }

  /** @throws TrustplaneError ERR_SVID_SUSPENDED */
  check(subject: SuspensionSubject): void {
    const found = this.find(subject);
    if (found === undefined) return;
    const { kind, value, since } = found;
    const at = new Date(since).toISOString();
    throw new TrustplaneError(
      'ERR_SVID_SUSPENDED',
      `nothing is issued to ${subject.spiffeId.toString()}: the ${kind} ${value} is suspended since ${at}`,
    );
  }

  /** @throws TrustplaneError ERR_AGENT_SUSPENDED */
  checkAgent(agentId: SpiffeId): void {
    const found = this.find({ spiffeId: agentId, agentId });
    if (found === undefined) return;
    const since = new Date(found.since).toISOString();
    throw new TrustplaneError(
      'ERR_AGENT_SUSPENDED',
      `the agent ${agentId.toString()} is suspended since ${since}`,
    );
  }

  /**
   * Suspends; again where that is so already, so that nobody lifts what they have not seen.
   * @throws TrustplaneError ERR_SUSPENSION, ERR_SUSPENSION_LIMIT, ERR_SUSPENSION_CONFLICT, ERR_REVOCATION_CLOSED, ERR_STORE_*
   */
  async suspend(draft: SuspensionDraft): Promise<SuspensionFact> {
    checkDraft(draft);
    const { view, clock } = this.#options;
    const id = suspensionKey(draft);
    let stored: Stored | undefined = view.at(id);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (stored === undefined) this.#requireRoom();
      const before = stored?.fact;
      const at = laterThan(before, clock.now());
      const since = before !== undefined && before.lifted === undefined ? before.since : at;
      const after = { id, ...draft, since, at };
      if (await this.#put(after, stored)) return after;
      stored = await this.#read(id);
    }
    throw conflict(draft);
  }

  /**
   * Lifts the suspension that stands when this begins, and no later one.
   * @throws TrustplaneError ERR_SUSPENSION, ERR_SUSPENSION_NOT_FOUND, ERR_SUSPENSION_CONFLICT, ERR_REVOCATION_CLOSED, ERR_STORE_*
   */
  async lift(draft: SuspensionDraft): Promise<SuspensionFact> {
    checkDraft(draft);
    const { kind, value, reason, by } = draft;
    const id = suspensionKey(draft);
    const seen = this.#options.view.at(id)?.fact;
    const stored = await this.#read(id);
    const before = stored?.fact;
    const isAnew = seen !== undefined && seen.lifted === undefined && seen.at !== before?.at;
    if (isAnew) throw conflict(draft);
    if (before === undefined || before.lifted !== undefined) {
      const message = `the ${kind} ${value} is not suspended`;
      throw new TrustplaneError('ERR_SUSPENSION_NOT_FOUND', message);
    }
    const at = laterThan(before, this.#options.clock.now());
    const after = { ...before, lifted: { at, reason, by } };
    if (await this.#put(after, stored)) return after;
    throw conflict(draft);
  }

  async #put(fact: SuspensionFact, stored: Stored | undefined): Promise<boolean> {
    const { bucket, feed } = this.#options;
    const value = encodeSuspension(fact);
    const revision = await unlessConflict(() => bucket.put(fact.id, value, stored?.revision ?? 0));
    if (revision === undefined) return false;
    await feed.reached(revision);
    return true;
  }

  async #read(id: string): Promise<Stored | undefined> {
    const stored = await this.#options.bucket.get(id);
    if (stored === undefined) return undefined;
    const { value, revision } = stored;
    return { fact: readOrUndefined(() => decodeSuspension(id, value)), revision };
  }

  #requireRoom(): void {
    if (this.#room.take()) return;
    const { size } = this.#options.view;
    const message = `there are ${size} suspensions with those that were lifted in the last 90 days, the most allowed`;
    throw new TrustplaneError('ERR_SUSPENSION_LIMIT', message);
  }
}

function laterThan(fact: SuspensionFact | undefined, now: number): number {
  return fact === undefined ? now : Math.max(now, saidAt(fact) + 1);
}

function conflict({ kind, value }: SuspensionDraft): TrustplaneError {
  const message = `the ${kind} ${value} was suspended anew, or changed by others, meanwhile; look at it and try again`;
  return new TrustplaneError('ERR_SUSPENSION_CONFLICT', message);
}

function checkDraft({ value, reason, by }: SuspensionDraft): void {
  const isText = (text: string): boolean => Buffer.byteLength(text) <= MAX_TEXT_BYTES;
  if (value !== '' && [value, reason, by].every(isText)) return;
  throw new TrustplaneError(
    'ERR_SUSPENSION',
    `a suspension: expected a subject, a reason and who it is by, of at most ${MAX_TEXT_BYTES} bytes each; got ${value.length}, ${reason.length} and ${by.length} characters`,
  );
}
