import type { RegistrationEntry } from '../spiffe/index.ts';

/** One entry that came (no `before`), went (no `after`) or changed. */
export interface EntryChange {
  readonly before: RegistrationEntry | undefined;
  readonly after: RegistrationEntry | undefined;
}

type ChangeListener = (changes: readonly EntryChange[]) => void;

/** Above this many changes at once the list of IDs is sorted anew instead of edited. */
const BULK = 64;

/** The entries that stand now, by ID, by parent and by SPIFFE ID. */
export class EntryGraph {
  readonly #byId = new Map<string, RegistrationEntry>();
  readonly #byParent = new Map<string, Set<RegistrationEntry>>();
  readonly #bySpiffeId = new Map<string, Set<RegistrationEntry>>();
  readonly #listeners = new Set<ChangeListener>();
  #ids: string[] = [];

  get size(): number {
    return this.#byId.size;
  }

  /** All entry IDs, sorted. */
  get ids(): readonly string[] {
    return this.#ids;
  }

  get(id: string): RegistrationEntry | undefined {
    return this.#byId.get(id);
  }

  childrenOf(parentId: string): Iterable<RegistrationEntry> {
    return this.#byParent.get(parentId) ?? [];
  }

  withSpiffeId(spiffeId: string): Iterable<RegistrationEntry> {
    return this.#bySpiffeId.get(spiffeId) ?? [];
  }

  /** Makes the changes, all of them, and then tells every listener before it returns. */
  apply(changes: readonly EntryChange[]): void {
    if (changes.length === 0) return;
    for (const { before, after } of changes) {
      if (before !== undefined) this.#remove(before);
      if (after !== undefined) this.#add(after);
      if (changes.length <= BULK) this.#editIds(before, after);
    }
    if (changes.length > BULK) this.#ids = [...this.#byId.keys()].sort();
    for (const listener of this.#listeners) listener(changes);
  }

  /** Returns the way to stop. */
  watch(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #add(entry: RegistrationEntry): void {
    this.#byId.set(entry.id, entry);
    addTo(this.#byParent, entry.parentId.toString(), entry);
    addTo(this.#bySpiffeId, entry.spiffeId.toString(), entry);
  }

  #remove(entry: RegistrationEntry): void {
    this.#byId.delete(entry.id);
    removeFrom(this.#byParent, entry.parentId.toString(), entry);
    removeFrom(this.#bySpiffeId, entry.spiffeId.toString(), entry);
  }

  #editIds(before: RegistrationEntry | undefined, after: RegistrationEntry | undefined): void {
    if (before?.id === after?.id) return;
    if (before !== undefined) this.#ids.splice(lowerBound(this.#ids, before.id), 1);
    if (after !== undefined) this.#ids.splice(lowerBound(this.#ids, after.id), 0, after.id);
  }
}

/** The first position whose text is not below `text`. */
export function lowerBound(sorted: readonly string[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

function addTo<V>(index: Map<string, Set<V>>, key: string, value: V): void {
  const values = index.get(key);
  if (values === undefined) index.set(key, new Set([value]));
  else values.add(value);
}

function removeFrom<V>(index: Map<string, Set<V>>, key: string, value: V): void {
  const values = index.get(key);
  values?.delete(value);
  if (values?.size === 0) index.delete(key);
}
