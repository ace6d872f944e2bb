/** How many connections, calls or bytes there may be: in all, and of one owner (a user, a network, an identity). */
export interface RoomOptions {
  readonly max: number;
  readonly maxPerOwner: number;
}

/** Counts what is open, so that neither all of it nor what one owner has becomes too much. */
export class Room<Owner> {
  readonly #options: RoomOptions;
  readonly #perOwner = new Map<Owner, number>();
  #size = 0;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#options.max;
  }

  hasRoomFor(owner: Owner): boolean {
    return this.of(owner) < this.#options.maxPerOwner;
  }

  /** How much `owner` has open. */
  of(owner: Owner): number {
    return this.#perOwner.get(owner) ?? 0;
  }

  enter(owner: Owner, size = 1): void {
    this.#size += size;
    this.#perOwner.set(owner, this.of(owner) + size);
  }

  leave(owner: Owner, size = 1): void {
    this.#size -= size;
    const left = this.of(owner) - size;
    if (left > 0) this.#perOwner.set(owner, left);
    else this.#perOwner.delete(owner);
  }
}
