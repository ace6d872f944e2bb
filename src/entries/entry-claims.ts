import type { RegistrationEntry } from '../spiffe/index.ts';
import type { EntryChange } from './entry-graph.ts';

/** A stored entry: under which key, since which write, of how many bytes. */
export interface EntryClaim {
  readonly key: string;
  readonly entry: RegistrationEntry;
  /** The store revision of its last write. */
  readonly revision: number;
  /** The store revision of the write that created the entry. */
  readonly firstRevision: number;
  readonly bytes: number;
}

/**
 * All stored entries, and which one stands where several have one entry ID. There are several only
 * when two servers gave out one ID at once, or while an update moves an entry to a new key: the
 * oldest creation stands, of one creation the most often updated record, of equals the first written.
 * Every server that has seen the same writes decides the same.
 */
export class EntryClaims {
  readonly #byKey = new Map<string, EntryClaim>();
  readonly #byId = new Map<string, readonly EntryClaim[]>();

  get keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  at(key: string): EntryClaim | undefined {
    return this.#byKey.get(key);
  }

  /** The claims of one entry ID; the first stands. */
  of(entryId: string): readonly EntryClaim[] {
    return this.#byId.get(entryId) ?? [];
  }

  stands(claim: EntryClaim): boolean {
    return this.of(claim.entry.id)[0] === claim;
  }

  /** Sets or (undefined) removes what is at a key; says what that changes among the entries that stand. */
  set(key: string, claim: EntryClaim | undefined): readonly EntryChange[] {
    const old = this.#byKey.get(key);
    const ids = new Set([old?.entry.id, claim?.entry.id].filter((id) => id !== undefined));
    const before = new Map([...ids].map((id) => [id, this.of(id)[0]?.entry]));
    if (old !== undefined) this.#replace(old.entry.id, (claims) => claims.filter((c) => c !== old));
    if (claim === undefined) this.#byKey.delete(key);
    else {
      this.#byKey.set(key, claim);
      this.#replace(claim.entry.id, (claims) => [...claims, claim].sort(byPrecedence));
    }
    return [...ids]
      .map((id) => ({ before: before.get(id), after: this.of(id)[0]?.entry }))
      .filter((change) => change.before !== change.after);
  }

  /** Claims that a move of their entry to another key has left behind. */
  *leftovers(): Iterable<EntryClaim> {
    for (const [first, ...others] of this.#byId.values()) {
      for (const other of others) if (other.firstRevision === first?.firstRevision) yield other;
    }
  }

  #replace(entryId: string, edit: (claims: readonly EntryClaim[]) => readonly EntryClaim[]): void {
    const claims = edit(this.of(entryId));
    if (claims.length === 0) this.#byId.delete(entryId);
    else this.#byId.set(entryId, claims);
  }
}

function byPrecedence(a: EntryClaim, b: EntryClaim): number {
  return (
    a.firstRevision - b.firstRevision ||
    b.entry.revisionNumber - a.entry.revisionNumber ||
    a.revision - b.revision
  );
}
