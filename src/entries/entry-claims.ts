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
  /** Nearly always one. */
  readonly #byId = new Map<string, EntryClaim | readonly EntryClaim[]>();

  get keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  at(key: string): EntryClaim | undefined {
    return this.#byKey.get(key);
  }

  /** The claims of one entry ID; the first stands. */
  of(entryId: string): readonly EntryClaim[] {
    const claims = this.#byId.get(entryId) ?? [];
    return isSeveral(claims) ? claims : [claims];
  }

  stands(claim: EntryClaim): boolean {
    return this.#standing(claim.entry.id) === claim;
  }

  /** Sets or (undefined) removes what is at a key; says what that changes among the entries that stand. */
  set(key: string, claim: EntryClaim | undefined): readonly EntryChange[] {
    const old = this.#byKey.get(key);
    if (claim === undefined) this.#byKey.delete(key);
    else this.#byKey.set(key, claim);
    const ids = new Set<string>();
    if (old !== undefined) ids.add(old.entry.id);
    if (claim !== undefined) ids.add(claim.entry.id);
    return [...ids].flatMap((id) => this.#replace(id, old, claim));
  }

  /** Claims that a move of their entry to another key has left behind. */
  *leftovers(): Iterable<EntryClaim> {
    for (const claims of this.#byId.values()) {
      if (!isSeveral(claims)) continue;
      const [first, ...others] = claims;
      for (const other of others) if (other.firstRevision === first?.firstRevision) yield other;
    }
  }

  #standing(entryId: string): EntryClaim | undefined {
    const claims = this.#byId.get(entryId);
    return claims !== undefined && isSeveral(claims) ? claims[0] : claims;
  }

  #replace(
    entryId: string,
    old: EntryClaim | undefined,
    claim: EntryClaim | undefined,
  ): readonly EntryChange[] {
    const before = this.#standing(entryId)?.entry;
    const kept = before === undefined ? [] : this.of(entryId).filter((other) => other !== old);
    const added = claim?.entry.id === entryId ? [claim] : [];
    const claims = [...kept, ...added].sort(byPrecedence);
    const [first] = claims;
    if (first === undefined) this.#byId.delete(entryId);
    else this.#byId.set(entryId, claims.length === 1 ? first : claims);
    const after = first?.entry;
    return before === after ? [] : [{ before, after }];
  }
}

function isSeveral(claims: EntryClaim | readonly EntryClaim[]): claims is readonly EntryClaim[] {
  return Array.isArray(claims);
}

function byPrecedence(a: EntryClaim, b: EntryClaim): number {
  return (
    a.firstRevision - b.firstRevision ||
    b.entry.revisionNumber - a.entry.revisionNumber ||
    a.revision - b.revision
  );
}
