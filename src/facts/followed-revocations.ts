import type { Revocation } from '../spiffe/index.ts';

type Revocations = readonly Revocation[];
/** What came or became another, and what went (undefined), by ID. */
export type RevocationChanges = ReadonlyMap<string, Revocation | undefined>;

/**
 * What differs between two lists of which most is the same objects in the same order, as when one comes,
 * goes or takes another's place: then it costs one comparison for each of them, and no hash.
 */
export function revocationChanges(before: Revocations, after: Revocations): RevocationChanges {
  const gone = new Map<string, Revocation>();
  const come: Revocation[] = [];
  let [at, next] = [0, 0];
  for (;;) {
    const [old, now] = [before[at], after[next]];
    if (old === undefined && now === undefined) break;
    if (old === now) {
      at++;
      next++;
      continue;
    }
    const hasCome = now !== undefined && before[at + 1] !== now;
    if (old !== undefined && (old !== after[next + 1] || !hasCome)) {
      gone.set(old.id, old);
      at++;
    }
    if (hasCome) {
      come.push(now);
      next++;
    }
  }
  return joined(gone, come);
}

/** What only stands elsewhere is no change. */
function joined(gone: ReadonlyMap<string, Revocation>, come: Revocations): RevocationChanges {
  const changes = new Map<string, Revocation | undefined>();
  for (const id of gone.keys()) changes.set(id, undefined);
  for (const revocation of come) {
    if (gone.get(revocation.id) === revocation) changes.delete(revocation.id);
    else changes.set(revocation.id, revocation);
  }
  return changes;
}

/** A list by ID, changed in place: a change costs what changes, whatever stands. */
export class FollowedRevocations {
  readonly byId: Map<string, Revocation> = new Map();
  #list: Revocations = [];

  follow(list: Revocations): void {
    for (const [id, revocation] of revocationChanges(this.#list, list)) {
      if (revocation === undefined) this.byId.delete(id);
      else this.byId.set(id, revocation);
    }
    this.#list = list;
  }
}
