import type { RegistrationEntry, SelectorSet } from '../spiffe/index.ts';
import type { EntryChange, EntryGraph } from './entry-graph.ts';
import { EntryIndex } from './entry-index.ts';

/**
 * Keeps all entries below some IDs: those whose parent is one of them, and those below the SPIFFE ID
 * of any entry of the closure. The work of a change is proportional to what it moves in or out.
 */
export class EntryClosure {
  readonly #graph: EntryGraph;
  readonly #roots: ReadonlySet<string>;
  readonly #members = new Map<string, RegistrationEntry>();
  /** Paths of the IDs below which entries belong to the closure. */
  readonly #parents = new Set<string>();
  readonly #touched = new Map<string, RegistrationEntry | undefined>();
  /** Made when it is first asked for: servers of remote agents never ask. */
  #index: EntryIndex | undefined;

  /** @param roots paths of SPIFFE IDs */
  constructor(graph: EntryGraph, roots: Iterable<string>) {
    this.#graph = graph;
    this.#roots = new Set(roots);
    for (const root of this.#roots) {
      this.#parents.add(root);
      this.#take([...graph.childrenOf(root)]);
    }
    this.#touched.clear();
  }

  /** By entry ID. */
  get members(): ReadonlyMap<string, RegistrationEntry> {
    return this.#members;
  }

  /** What each entry that was touched since the last `settle` was before. */
  get touched(): ReadonlyMap<string, RegistrationEntry | undefined> {
    return this.#touched;
  }

  /** In no particular order; none with storeSvid. */
  match(selectors: SelectorSet): RegistrationEntry[] {
    this.#index ??= this.#buildIndex();
    return this.#index.match(selectors);
  }

  /**
   * Changes that the graph has already made. What is new is taken in before anything is let go of, so
   * that whatever has a way down from a root has it over parents that are known here.
   */
  follow(changes: readonly EntryChange[]): void {
    for (const { before } of changes) if (before !== undefined) this.#drop(before.id);
    for (const { after } of changes) {
      if (after === undefined || this.#graph.get(after.id) !== after) continue;
      if (this.#parents.has(after.parentId.path)) this.#take([after]);
    }
    this.#recheck(changes.flatMap(({ before }) => before?.spiffeId.path ?? []));
  }

  settle(): void {
    this.#touched.clear();
  }

  #buildIndex(): EntryIndex {
    const index = new EntryIndex();
    for (const entry of this.#members.values()) if (!entry.storeSvid) index.add(entry);
    return index;
  }

  /** Takes entries in, with everything below them. */
  #take(entries: RegistrationEntry[]): void {
    for (let entry = entries.pop(); entry !== undefined; entry = entries.pop()) {
      this.#add(entry);
      const { path } = entry.spiffeId;
      if (this.#parents.has(path)) continue;
      this.#parents.add(path);
      for (const child of this.#graph.childrenOf(path)) entries.push(child);
    }
  }

  /** Lets go of IDs that nothing in the closure leads to any more, with everything below them. */
  #recheck(paths: string[]): void {
    const unreachable = new Set<string>();
    for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
      if (!this.#parents.has(path) || this.#isReachable(path, unreachable)) continue;
      this.#parents.delete(path);
      for (const child of this.#graph.childrenOf(path)) {
        this.#drop(child.id);
        paths.push(child.spiffeId.path);
      }
    }
  }

  /** Searches upward from `start` for a root; remembers IDs from which there is no way. */
  #isReachable(start: string, unreachable: Set<string>): boolean {
    const seen = new Set<string>([start]);
    const ahead = [start];
    for (let path = ahead.pop(); path !== undefined; path = ahead.pop()) {
      if (this.#roots.has(path)) return true;
      for (const { parentId } of this.#graph.withPath(path)) {
        const parent = parentId.path;
        // Every ID on a way down from a root is a parent here; the others need no search.
        if (!this.#parents.has(parent) || seen.has(parent) || unreachable.has(parent)) continue;
        seen.add(parent);
        ahead.push(parent);
      }
    }
    for (const path of seen) unreachable.add(path);
    return false;
  }

  #add(entry: RegistrationEntry): void {
    const known = this.#members.get(entry.id);
    if (known === entry) return;
    if (known !== undefined) this.#drop(known.id);
    this.#touch(entry.id, undefined);
    this.#members.set(entry.id, entry);
    if (!entry.storeSvid) this.#index?.add(entry);
  }

  #drop(entryId: string): void {
    const entry = this.#members.get(entryId);
    if (entry === undefined) return;
    this.#touch(entryId, entry);
    this.#members.delete(entryId);
    if (!entry.storeSvid) this.#index?.remove(entry);
  }

  /** The first of several changes of an entry counts. */
  #touch(entryId: string, before: RegistrationEntry | undefined): void {
    if (!this.#touched.has(entryId)) this.#touched.set(entryId, before);
  }
}
