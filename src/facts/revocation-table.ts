import {
  findRevocation,
  type Revocation,
  type RevocationSubject,
  revocationIndexKey,
} from '../spiffe/index.ts';

/** Revocations by ID and by what they name, changed in place: a change costs what changes, whatever stands. */
export class RevocationTable {
  readonly #byId = new Map<string, Revocation>();
  /** Of those that name the same, the one that refuses most. */
  readonly #index = new Map<string, Revocation>();
  #list: readonly Revocation[] | undefined;

  /** The same list until something changes. */
  get list(): readonly Revocation[] {
    return (this.#list ??= [...this.#byId.values()]);
  }

  get(id: string): Revocation | undefined {
    return this.#byId.get(id);
  }

  find(subject: RevocationSubject): Revocation | undefined {
    return findRevocation(this.#index, subject);
  }

  /** What came, became another, or went (undefined), by ID. */
  change(changes: Iterable<readonly [id: string, revocation: Revocation | undefined]>): void {
    const bared = new Set<string>();
    for (const [id, revocation] of changes) {
      this.#list = undefined;
      const key = this.#drop(id);
      if (key !== undefined && this.#hasRivals) bared.add(key);
      if (revocation !== undefined) this.#put(revocation);
    }
    if (bared.size === 0) return;
    for (const revocation of this.#byId.values()) {
      if (bared.has(revocationIndexKey(revocation))) this.#put(revocation);
    }
  }

  /** Some name what another names. */
  get #hasRivals(): boolean {
    return this.#byId.size > this.#index.size;
  }

  #put(revocation: Revocation): void {
    this.#byId.set(revocation.id, revocation);
    const key = revocationIndexKey(revocation);
    const other = this.#index.get(key);
    if (other === undefined || other.issuedBefore < revocation.issuedBefore) {
      this.#index.set(key, revocation);
    }
  }

  /** The key that it stood for in the index. */
  #drop(id: string): string | undefined {
    const revocation = this.#byId.get(id);
    if (revocation === undefined) return undefined;
    this.#byId.delete(id);
    const key = revocationIndexKey(revocation);
    if (this.#index.get(key) !== revocation) return undefined;
    this.#index.delete(key);
    return key;
  }
}
