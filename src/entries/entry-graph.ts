import type { RegistrationEntry } from '../spiffe/index.ts';
import { type Bag, bagItems, bagWith, bagWithout } from './bag.ts';

/** One entry that came (no `before`), went (no `after`) or changed. */
export interface EntryChange {
  readonly before: RegistrationEntry | undefined;
  readonly after: RegistrationEntry | undefined;
}

type ChangeListener = (changes: readonly EntryChange[]) => void;
type PathIndex = Map<string, Bag<RegistrationEntry>>;

/** With more changes, sorting all IDs anew costs less than remembering them. */
const MAX_NOTED = 10_000;

/**
 * The entries that stand now, by ID, by parent and by SPIFFE ID. All are of one trust domain, so the
 * path alone stands for a SPIFFE ID.
 */
export class EntryGraph {
  readonly #byId = new Map<string, RegistrationEntry>();
  readonly #byParent: PathIndex = new Map();
  readonly #bySpiffeId: PathIndex = new Map();
  readonly #listeners = new Set<ChangeListener>();
  /** As of the last time they were asked for, with the changes since then in the two sets; undefined after many. */
  #ids: readonly string[] | undefined = [];
  readonly #newIds = new Set<string>();
  readonly #goneIds = new Set<string>();

  get size(): number {
    return this.#byId.size;
  }

  /** All entry IDs, sorted. Costs a pass over all of them after a change. */
  get ids(): readonly string[] {
    if (this.#ids === undefined) this.#ids = [...this.#byId.keys()].sort();
    else if (this.#newIds.size + this.#goneIds.size > 0) {
      this.#ids = merge(this.#ids, this.#goneIds, [...this.#newIds].sort());
    }
    this.#newIds.clear();
    this.#goneIds.clear();
    return this.#ids;
  }

  /** All entries, in no particular order. */
  get entries(): Iterable<RegistrationEntry> {
    return this.#byId.values();
  }

  get(id: string): RegistrationEntry | undefined {
    return this.#byId.get(id);
  }

  childrenOf(parentPath: string): Iterable<RegistrationEntry> {
    return bagItems(this.#byParent.get(parentPath));
  }

  withPath(path: string): Iterable<RegistrationEntry> {
    return bagItems(this.#bySpiffeId.get(path));
  }

  /** Makes the changes, in order, all of them, and then tells every listener before it returns. */
  apply(changes: readonly EntryChange[]): void {
    if (changes.length === 0) return;
    for (const { before, after } of changes) {
      if (before !== undefined) this.#remove(before);
      if (after !== undefined) this.#add(after);
    }
    for (const listener of this.#listeners) listener(changes);
  }

  /** Returns the way to stop. */
  watch(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #add(entry: RegistrationEntry): void {
    this.#byId.set(entry.id, entry);
    put(this.#byParent, entry.parentId.path, (bag) => bagWith(bag, entry));
    put(this.#bySpiffeId, entry.spiffeId.path, (bag) => bagWith(bag, entry));
    if (!this.#goneIds.delete(entry.id)) this.#note(this.#newIds, entry.id);
  }

  #remove(entry: RegistrationEntry): void {
    this.#byId.delete(entry.id);
    put(this.#byParent, entry.parentId.path, (bag) => bagWithout(bag, entry));
    put(this.#bySpiffeId, entry.spiffeId.path, (bag) => bagWithout(bag, entry));
    if (!this.#newIds.delete(entry.id)) this.#note(this.#goneIds, entry.id);
  }

  #note(ids: Set<string>, id: string): void {
    if (this.#ids === undefined) return;
    ids.add(id);
    if (this.#newIds.size + this.#goneIds.size <= MAX_NOTED) return;
    this.#ids = undefined;
    this.#newIds.clear();
    this.#goneIds.clear();
  }
}

function put(
  index: PathIndex,
  path: string,
  edit: (bag: Bag<RegistrationEntry>) => Bag<RegistrationEntry>,
): void {
  const bag = edit(index.get(path));
  if (bag === undefined) index.delete(path);
  else index.set(path, bag);
}

/** Two sorted lists as one, without `gone`. */
function merge(
  old: readonly string[],
  gone: ReadonlySet<string>,
  more: readonly string[],
): readonly string[] {
  const merged: string[] = [];
  let next = 0;
  for (const text of old) {
    for (let other = more[next]; other !== undefined && other < text; other = more[++next]) {
      merged.push(other);
    }
    if (!gone.has(text)) merged.push(text);
  }
  return merged.concat(more.slice(next));
}
