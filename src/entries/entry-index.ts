import { type RegistrationEntry, SelectorSet } from '../spiffe/index.ts';
import { type Bag, bagItems, bagSize, bagWith, bagWithout } from './bag.ts';

/** Posting lists up to this length are searched as they are. */
const SHORT = 32;

/** All entries with exactly the same selectors: one candidate, however many they are. */
interface Group {
  readonly texts: readonly string[];
  readonly key: string;
  entries: Bag<RegistrationEntry>;
  /** The selector under which the group is listed. */
  home: string;
}

/** What is known of one selector text. */
interface Posting {
  /** How many groups have the selector. */
  uses: number;
  /** The groups that are listed here. */
  groups: Bag<Group>;
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
    group.entries = bagWith(group.entries, entry);
  }

  remove(entry: RegistrationEntry): void {
    const group = this.#groups.get(SelectorSet.of(entry.selectors).key);
    if (group === undefined) return;
    group.entries = bagWithout(group.entries, entry);
    if (group.entries === undefined) this.#removeGroup(group);
  }

  /** Entries all of whose selectors are in the set, in no particular order. */
  match(selectors: SelectorSet): RegistrationEntry[] {
    const found: RegistrationEntry[] = [];
    for (const text of selectors.texts) {
      const posting = this.#postings.get(text);
      if (posting === undefined) continue;
      this.#putInOrder(posting);
      for (const group of bagItems(posting.groups)) {
        this.#checks++;
        if (!selectors.includesAll(group.texts)) continue;
        for (const entry of bagItems(group.entries)) found.push(entry);
      }
    }
    return found;
  }

  #addGroup(key: string, texts: readonly string[]): Group {
    const group: Group = { key, texts, entries: undefined, home: this.#rarest(texts) };
    this.#groups.set(key, group);
    for (const text of texts) this.#posting(text).uses++;
    this.#list(group);
    this.#changes++;
    return group;
  }

  #removeGroup(group: Group): void {
    this.#groups.delete(group.key);
    this.#unlist(group);
    for (const text of group.texts) {
      const posting = this.#posting(text);
      if (--posting.uses === 0) this.#postings.delete(text);
    }
    this.#changes++;
  }

  #putInOrder(posting: Posting): void {
    const size = bagSize(posting.groups);
    if (size <= SHORT || this.#changes - posting.orderedAt < size) return;
    posting.orderedAt = this.#changes;
    for (const group of bagItems(posting.groups)) {
      const rarest = this.#rarest(group.texts);
      if (rarest === group.home) continue;
      this.#unlist(group);
      group.home = rarest;
      this.#list(group);
    }
  }

  #list(group: Group): void {
    const posting = this.#posting(group.home);
    posting.groups = bagWith(posting.groups, group);
  }

  #unlist(group: Group): void {
    const posting = this.#posting(group.home);
    posting.groups = bagWithout(posting.groups, group);
  }

  #rarest(texts: readonly string[]): string {
    const uses = (text: string): number => this.#postings.get(text)?.uses ?? 0;
    return texts.reduce((best, text) => (uses(text) < uses(best) ? text : best));
  }

  #posting(text: string): Posting {
    let posting = this.#postings.get(text);
    if (posting === undefined) {
      posting = { uses: 0, groups: undefined, orderedAt: this.#changes };
      this.#postings.set(text, posting);
    }
    return posting;
  }
}
