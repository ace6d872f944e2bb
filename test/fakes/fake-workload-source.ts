import type {
  WorkloadAttachment,
  WorkloadListener,
  WorkloadSource,
  WorkloadUpdate,
} from '../../src/spiffe/index.ts';

/** A source of one update for everybody, moved by the test. */
export class FakeWorkloadSource<Peer> implements WorkloadSource<Peer> {
  #update: WorkloadUpdate | undefined;
  readonly #listeners = new Map<WorkloadListener, Peer>();

  constructor(update?: WorkloadUpdate) {
    this.#update = update;
  }

  /** How many are attached now. */
  get attached(): number {
    return this.#listeners.size;
  }

  /** Who is attached now. */
  get peers(): readonly Peer[] {
    return [...this.#listeners.values()];
  }

  attach(peer: Peer, listener: WorkloadListener): WorkloadAttachment {
    this.#listeners.set(listener, peer);
    if (this.#update !== undefined) listener.onUpdate(this.#update);
    return { close: () => void this.#listeners.delete(listener) };
  }

  publish(update: WorkloadUpdate): void {
    this.#update = update;
    for (const listener of this.#listeners.keys()) listener.onUpdate(update);
  }

  /** Every attached process dies. */
  loseAll(reason: Error): void {
    const listeners = [...this.#listeners.keys()];
    this.#listeners.clear();
    for (const listener of listeners) listener.onGone(reason);
  }
}
