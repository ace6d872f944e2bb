import type { Fact, JournalChange } from './journal-line.ts';

/** Each begins after a loss of the store. */
const MAX_ERAS = 256;

/** What is known in memory of a fact; its value is in the file. */
export interface FactHead extends Omit<Fact, 'value' | 'bucket' | 'key'> {
  readonly isDeleted: boolean;
  /** Where its line lies in the file; undefined until that is written. */
  readonly at: LinePlace | undefined;
  /** Until then: where that of the fact before it lies, which counts if this one is never written. */
  readonly former: LinePlace | undefined;
}

export interface LinePlace {
  readonly offset: number;
  readonly bytes: number;
}

export interface PlacedFact {
  readonly bucket: string;
  readonly key: string;
  readonly head: FactHead;
  readonly at: LinePlace;
}

/** The facts of a journal by bucket and key, the oldest first, and how far the store was seen. */
export class FactIndex {
  readonly #facts = new Map<string, Map<string, FactHead>>();
  readonly #seen = new Map<string, number>();
  /** The oldest first. */
  #eras: readonly string[] = [];
  #liveBytes = 0;
  #deletions = 0;

  /** Of the lines that count. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** How many facts say that a record was deleted. */
  get deletions(): number {
    return this.#deletions;
  }

  get era(): string | undefined {
    return this.#eras.at(-1);
  }

  /** Those the store went through, the oldest first. */
  get eras(): readonly string[] {
    return this.#eras;
  }

  get size(): number {
    return [...this.#facts.values()].reduce((sum, facts) => sum + facts.size, 0);
  }

  at(bucket: string, key: string): FactHead | undefined {
    return this.#facts.get(bucket)?.get(key);
  }

  /** Not to be changed while it is gone through. */
  of(bucket: string): ReadonlyMap<string, FactHead> {
    return this.#facts.get(bucket) ?? new Map();
  }

  /** By bucket. */
  get seen(): ReadonlyMap<string, number> {
    return this.#seen;
  }

  /** Takes in a change whose line is at `at`, or not written yet. */
  apply(change: JournalChange, at?: LinePlace): void {
    switch (change.type) {
      case 'era':
        if (this.era === change.era) return;
        this.#seen.clear();
        this.#seeFactsOf(change.era);
        this.#eras = [...this.#eras.filter((era) => era !== change.era), change.era].slice(
          -MAX_ERAS,
        );
        return;
      case 'seen':
        return this.#see(change.bucket, change.revision);
      case 'forget':
        return this.#drop(change.bucket, change.key);
      case 'fact': {
        const { bucket, key, era, revision, expiresAt, value } = change;
        const before = this.at(bucket, key);
        const former = at === undefined ? (before?.at ?? before?.former) : undefined;
        this.#drop(bucket, key);
        const head = { era, revision, expiresAt, isDeleted: value === undefined, at, former };
        const facts = this.#facts.get(bucket) ?? new Map<string, FactHead>();
        this.#facts.set(bucket, facts.set(key, head));
        this.#liveBytes += at?.bytes ?? 0;
        if (head.isDeleted) this.#deletions++;
        if (era === this.era) this.#see(bucket, revision);
      }
    }
  }

  /** Says where the line of a fact is now, unless a later one took its place. */
  place(fact: Fact, at: LinePlace): void {
    const facts = this.#facts.get(fact.bucket);
    const head = facts?.get(fact.key);
    if (head === undefined || head.revision !== fact.revision || head.era !== fact.era) return;
    this.#liveBytes += at.bytes - (head.at?.bytes ?? 0);
    facts?.set(fact.key, { ...head, at, former: undefined });
  }

  /** The line of each fact that is written. */
  *placed(): Generator<PlacedFact> {
    for (const [bucket, facts] of this.#facts) {
      for (const [key, head] of facts) {
        const at = head.at ?? head.former;
        if (at !== undefined) yield { bucket, key, head, at };
      }
    }
  }

  /** Says where a line is now that `placed` told of, whatever was noted since. */
  move({ bucket, key, head }: PlacedFact, at: LinePlace): void {
    const now = this.at(bucket, key);
    const facts = this.#facts.get(bucket);
    if (now === head && head.at !== undefined) facts?.set(key, { ...head, at });
    else if (now?.former !== undefined) facts?.set(key, { ...now, former: at });
  }

  /** Forgets what has expired; returns how many facts that were. */
  dropExpired(now: number): number {
    let dropped = 0;
    for (const [bucket, facts] of this.#facts) {
      for (const [key, { expiresAt }] of facts) {
        if (expiresAt === undefined || expiresAt > now) continue;
        this.#drop(bucket, key);
        dropped++;
      }
    }
    return dropped;
  }

  /** Forgets the oldest deletions of each bucket until at most `most` are left in it. */
  limitDeletions(most: number): void {
    for (const [bucket, facts] of this.#facts) {
      const deleted = [...facts].filter(([, { isDeleted }]) => isDeleted);
      const surplus = Math.max(0, deleted.length - most);
      for (const [key] of deleted.slice(0, surplus)) this.#drop(bucket, key);
    }
  }

  /** Some may be noted before it is said that their era began. */
  #seeFactsOf(era: string): void {
    for (const [bucket, facts] of this.#facts) {
      for (const head of facts.values()) if (head.era === era) this.#see(bucket, head.revision);
    }
  }

  #see(bucket: string, revision: number): void {
    this.#seen.set(bucket, Math.max(revision, this.#seen.get(bucket) ?? 0));
  }

  #drop(bucket: string, key: string): void {
    const facts = this.#facts.get(bucket);
    const head = facts?.get(key);
    if (head === undefined) return;
    this.#liveBytes -= head.at?.bytes ?? 0;
    if (head.isDeleted) this.#deletions--;
    facts?.delete(key);
  }
}
