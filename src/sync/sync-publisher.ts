import { TrustplaneError } from '../spiffe/index.ts';
import type { Position } from './position.ts';
import type { ItemKey, SyncItem } from './sync-item.ts';
import type { SyncUpdate } from './sync-update.ts';

/** What one agent is to know now. */
export interface SyncView {
  /** Of all items, lower-case hex. */
  digest(): string;
  get(key: ItemKey): SyncItem | undefined;
  items(): Iterable<SyncItem>;
}

export interface SyncPublisherOptions {
  readonly view: SyncView;
  /** Of this life of the server. */
  readonly epoch: string;
  /** Rises with each call; one for all agents of the epoch. */
  readonly nextRevision: () => number;
  /** How much of what servers share is in `view` now. */
  readonly cursor?: () => string;
}

/** An update that was sent, and what has to be sent again when it is lost. */
interface Sent {
  readonly position: Position;
  /** Undefined for a snapshot. */
  readonly keys: readonly ItemKey[] | undefined;
}

/** More changes than this cost less as a snapshot. */
const MAX_CHANGES = 4096;

/**
 * The server's half for one agent: what it was sent, what of that it has, and what has changed since.
 * One update is in flight at a time; what changes meanwhile goes into the next one. It outlives the
 * agent's stream, so that the next stream goes on where the last one broke off.
 */
export class SyncPublisher {
  readonly #options: SyncPublisherOptions;
  /** What the agent has for certain. */
  #held: Position | undefined;
  #inFlight: Sent | undefined;
  /** Items that may differ from what was sent last; undefined when nothing is known of the agent. */
  #changed: Set<ItemKey> | undefined;
  /** The agent is to be told where it stands, even if nothing has changed. */
  #isDue = false;

  constructor(options: SyncPublisherOptions) {
    this.#options = options;
  }

  /** How many changes wait; what the publisher costs. */
  get backlog(): number {
    return (this.#changed?.size ?? 0) + (this.#inFlight?.keys?.length ?? 0);
  }

  /** What was sent last, and what of that the agent has for certain. */
  get sent(): Position | undefined {
    return this.#inFlight?.position ?? this.#held;
  }

  get held(): Position | undefined {
    return this.#held;
  }

  /** An agent begins a stream, and stands there. */
  resume(position: Position | undefined): void {
    this.#isDue = true;
    const lost = this.#inFlight;
    this.#inFlight = undefined;
    if (isSame(position, lost?.position)) {
      this.#held = lost?.position;
    } else if (isSame(position, this.#held)) {
      this.#changeAgain(lost);
    } else if (position?.digest === this.#options.view.digest()) {
      // Another life of a server, or longer ago; it makes no difference to the agent.
      this.#held = position;
      this.#changed = new Set();
    } else {
      this.#changed = undefined;
    }
  }

  /** These items came, went or became others. */
  change(keys: Iterable<ItemKey>): void {
    if (this.#changed === undefined) return;
    for (const key of keys) this.#changed.add(key);
    if (this.#changed.size > MAX_CHANGES) this.#changed = undefined;
  }

  /** What is to be sent now, if anything. It counts as sent. */
  next(): SyncUpdate | undefined {
    if (this.#inFlight !== undefined) return undefined;
    const { view, epoch, nextRevision, cursor } = this.#options;
    const digest = view.digest();
    if (digest === this.#held?.digest) this.#changed?.clear();
    const keys = this.#changed;
    if (keys?.size === 0 && !this.#isDue) return undefined;
    const position: Position = { epoch, revision: nextRevision(), digest, cursor: cursor?.() };
    const update = keys === undefined ? snapshot(position, view) : delta(position, keys, view);
    this.#inFlight = { position, keys: keys && [...keys] };
    this.#changed = new Set();
    this.#isDue = false;
    return update;
  }

  /**
   * The agent has come to the end of an update. With a digest that is not the update's it has
   * discarded it, and a snapshot is next.
   * @throws TrustplaneError ERR_SYNC_REFUSED when that was a snapshot
   */
  acknowledge(revision: number, digest: string): 'applied' | 'refused' | 'stale' {
    const sent = this.#inFlight;
    if (sent?.position.revision !== revision) return 'stale';
    this.#inFlight = undefined;
    if (sent.position.digest === digest) {
      this.#held = sent.position;
      return 'applied';
    }
    this.#changed = undefined;
    if (sent.keys !== undefined) return 'refused';
    throw new TrustplaneError('ERR_SYNC_REFUSED', `the agent did not accept snapshot ${revision}`);
  }

  #changeAgain(lost: Sent | undefined): void {
    if (lost === undefined) return;
    if (lost.keys === undefined) this.#changed = undefined;
    else this.change(lost.keys);
  }
}

function snapshot(position: Position, view: SyncView): SyncUpdate {
  return { position, isSnapshot: true, items: [...view.items()], removed: [] };
}

function delta(position: Position, keys: Iterable<ItemKey>, view: SyncView): SyncUpdate {
  const items: SyncItem[] = [];
  const removed: ItemKey[] = [];
  for (const key of keys) {
    const item = view.get(key);
    if (item === undefined) removed.push(key);
    else items.push(item);
  }
  return { position, isSnapshot: false, items, removed };
}

function isSame(one: Position | undefined, other: Position | undefined): boolean {
  return (
    one !== undefined &&
    one.epoch === other?.epoch &&
    one.revision === other.revision &&
    one.digest === other.digest
  );
}
