import { type RegistrationEntry, SelectorSet } from '../spiffe/index.ts';

/** Posting lists up to this length are searched as they are. */
const SHORT = 32;

/** All entries with exactly the same selectors: one candidate, however many they are. */
interface Group {
  readonly texts: readonly string[];
  readonly key: string;
  readonly entries: Map<string, RegistrationEntry>;
  /** The selector under which the group is listed. */
  home: string;
}

/** What is known of one selector text. */
interface Posting {
  /** How many groups have the selector. */
  uses: number;
  /** The groups that are listed here. */
  readonly groups: Set<Group>;
  /** The index's change count when the list was last put in order. */
  orderedAt: number;
}

/**
 * Selectors → entries. Entries are grouped by selector set, and each group is listed once, under its
 * rarest selector, so a match looks at few groups even when all entries share a selector. A long list
 * whose members may have become rarer elsewhere is put in order by the next match, at most once
 * per as many changes as it is long.
 */
export class EntryIndex {
  readonly #groups = new Map<string, Group>();
  readonly #postings = new Map<string, Posting>();
  #changes = 0;
  #checks = 0;

  /** How many groups all matches have looked at so far. */
  get checks(): number {
    return this.#checks;
  }

  add(entry: RegistrationEntry): void {
    const { key, texts } = SelectorSet.of(entry.selectors);
    const group = this.#groups.get(key) ?? this.#addGroup(key, texts);
    group.entries.set(entry.id, entry);
  }

  remove(entry: RegistrationEntry): void {
    const group = this.#groups.get(SelectorSet.of(entry.selectors).key);
    group?.entries.delete(entry.id);
    if (group?.entries.size === 0) this.#removeGroup(group);
  }

  /** Entries all of whose selectors are in the set, in no particular order. */
  match(selectors: SelectorSet): RegistrationEntry[] {
    const found: RegistrationEntry[] = [];
    for (const text of selectors.texts) {
      const posting = this.#postings.get(text);
      if (posting === undefined) continue;
      this.#putInOrder(posting);
      for (const group of posting.groups) {
        this.#checks++;
        if (!selectors.includesAll(group.texts)) continue;
        for (const entry of group.entries.values()) found.push(entry);
      }
    }
    return found;
  }

  #addGroup(key: string, texts: readonly string[]): Group {
    const group: Group = { key, texts, entries: new Map(), home: this.#rarest(texts) };
    this.#groups.set(key, group);
    for (const text of texts) this.#posting(text).uses++;
    this.#posting(group.home).groups.add(group);
    this.#changes++;
    return group;
  }

  #removeGroup(group: Group): void {
    this.#groups.delete(group.key);
    this.#posting(group.home).groups.delete(group);
    for (const text of group.texts) {
      const posting = this.#posting(text);
      if (--posting.uses === 0) this.#postings.delete(text);
    }
    this.#changes++;
  }

  #putInOrder(posting: Posting): void {
    const size = posting.groups.size;
    if (size <= SHORT || this.#changes - posting.orderedAt < size) return;
    posting.orderedAt = this.#changes;
    for (const group of posting.groups) {
      const rarest = this.#rarest(group.texts);
      if (rarest === group.home) continue;
      posting.groups.delete(group);
      group.home = rarest;
      this.#posting(rarest).groups.add(group);
    }
  }

  #rarest(texts: readonly string[]): string {
    const uses = (text: string): number => this.#postings.get(text)?.uses ?? 0;
    return texts.reduce((best, text) => (uses(text) < uses(best) ? text : best));
  }

  #posting(text: string): Posting {
    let posting = this.#postings.get(text);
    if (posting === undefined) {
      posting = { uses: 0, groups: new Set(), orderedAt: this.#changes };
      this.#postings.set(text, posting);
    }
    return posting;
  }
}
