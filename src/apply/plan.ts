import { requireRoom, type StandingEntry } from '../entries/index.ts';
import { type FederationRelationship, requireChangeable } from '../federation/index.ts';
import { messageOf, quote, type RegistrationEntry, type TrustDomain } from '../spiffe/index.ts';
import { applyLimits } from './apply-limits.ts';
import { Complaints } from './complaints.ts';
import type { DesiredEntry, DesiredRelationship } from './desired.ts';
import { identityOf } from './entry-identity.ts';
import { diffEntries, diffRelationships, type FieldChange } from './field-changes.ts';

/** What is there now. */
export interface PresentState {
  entry(id: string): StandingEntry | undefined;
  /** That with the same parent, SPIFFE ID and selectors. */
  entryLike(entry: RegistrationEntry): StandingEntry | undefined;
  entries(): Iterable<RegistrationEntry>;
  /** Of the store, up to which its entries are known. */
  revision(): number;
  relationship(trustDomain: TrustDomain): FederationRelationship | undefined;
  relationships(): Iterable<FederationRelationship>;
}

export interface PlanOptions {
  readonly set: string;
  /** What the set has and is not desired is removed. */
  readonly prune: boolean;
  /** However many there are. */
  readonly allowRemovals: boolean;
  /** Also what another set keeps. */
  readonly takeOver: boolean;
  /** An entry that is there under another ID is taken for the one that is meant. */
  readonly idsAreHints: boolean;
}

interface Described {
  readonly fields: readonly FieldChange[];
  readonly source: string;
}

/** One entry that is made (no `before`), changed or removed (no `after`). */
export interface EntryStep extends Described {
  readonly subject: 'entry';
  readonly before: StandingEntry | undefined;
  readonly after: DesiredEntry | undefined;
}

/** The same of a relationship. */
export interface RelationshipStep extends Described {
  readonly subject: 'relationship';
  readonly before: FederationRelationship | undefined;
  readonly after: FederationRelationship | undefined;
}

export type Step = EntryStep | RelationshipStep;

/** What has to be done, in this order: nobody is without an identity because it was renamed. */
export interface Plan {
  readonly additions: readonly Step[];
  readonly changes: readonly Step[];
  readonly removals: readonly Step[];
  readonly unchanged: number;
  /** What the set has, is not desired, and stays. */
  readonly kept: number;
  /** Why none of it may be done. */
  readonly complaints: readonly string[];
  /** What others have changed since it was begun. */
  overtaken(): readonly string[];
}

/** An entry that is to have the parent, SPIFFE ID and selectors of another. */
interface Collision {
  readonly id: string;
  readonly other: RegistrationEntry;
  readonly source: string;
}

/** As long as an ID that is made. */
const MADE_ID = '00000000-0000-0000-0000-000000000000';

/** A plan that grows with each document that is told. */
export class PlanBuilder {
  readonly #present: PresentState;
  readonly #options: PlanOptions;
  readonly #complaints = new Complaints();
  readonly #additions: Step[] = [];
  readonly #changes: Step[] = [];
  /** The entries that are to stay as they are, with their revisions. */
  readonly #bases: StandingEntry[] = [];
  readonly #since: number;
  readonly #wantedIds = new Map<string, string>();
  readonly #wantedKeys = new Map<string, string>();
  readonly #wantedDomains = new Set<string>();
  readonly #collisions: Collision[] = [];
  /** Entries that are to have what others have now, and where that stands. */
  readonly #moving = new Map<string, string>();
  #count = 0;
  #unchanged = 0;

  constructor(present: PresentState, options: PlanOptions) {
    this.#present = present;
    this.#options = options;
    this.#since = present.revision();
  }

  get size(): number {
    return this.#count;
  }

  complain(message: string): void {
    this.#complaints.add(message);
  }

  addEntry(desired: DesiredEntry): void {
    this.#count++;
    const { draft, entry, source } = desired;
    const like = this.#present.entryLike(entry);
    const named = draft.id === undefined ? undefined : this.#present.entry(draft.id);
    if (named !== undefined && like !== undefined && like.entry.id !== named.entry.id) {
      this.#collisions.push({ id: named.entry.id, other: like.entry, source });
      this.#moving.set(named.entry.id, source);
      return;
    }
    if (like !== undefined && named === undefined && draft.id !== undefined) {
      if (!this.#options.idsAreHints)
        return this.#complaints.add(
          `${source}: the entry is there with the ID ${quote(like.entry.id)}; got ${quote(draft.id)}`,
        );
    }
    const before = like ?? named;
    if (!this.#want(before?.entry.id ?? draft.id, entry, source)) return;
    const { set } = this.#options;
    if (before === undefined) {
      this.#requireRoom({ ...entry, id: draft.id ?? MADE_ID, managedBy: set }, source);
      this.#additions.push({ subject: 'entry', before, after: desired, fields: [], source });
      return;
    }
    if (!this.#mayTake(before.entry.managedBy, `entry ${quote(before.entry.id)}`, source)) return;
    const fields = diffEntries(before.entry, { ...entry, managedBy: set });
    if (fields.length === 0) {
      this.#bases.push(before);
      this.#unchanged++;
      return;
    }
    const { id, revisionNumber } = before.entry;
    this.#requireRoom({ ...entry, id, revisionNumber: revisionNumber + 1, managedBy: set }, source);
    this.#changes.push({ subject: 'entry', before, after: desired, fields, source });
  }

  addRelationship({ relationship, source }: DesiredRelationship): void {
    this.#count++;
    const { trustDomain } = relationship;
    const what = `the relationship with ${trustDomain.name}`;
    if (this.#wantedDomains.has(trustDomain.name))
      return this.#complaints.add(`${source}: ${what} is there twice`);
    this.#wantedDomains.add(trustDomain.name);
    const before = this.#present.relationship(trustDomain);
    const after = { ...relationship, managedBy: this.#options.set };
    const step = { subject: 'relationship', before, after, source } as const;
    if (before === undefined) {
      this.#additions.push({ ...step, fields: [] });
      return;
    }
    const fields = diffRelationships(before, after);
    if (fields.length === 0) {
      this.#unchanged++;
      return;
    }
    if (!this.#mayTake(before.managedBy, what, source)) return;
    try {
      requireChangeable(before);
      this.#changes.push({ ...step, fields });
    } catch (error) {
      this.#complaints.add(`${source}: ${messageOf(error)}`);
    }
  }

  build(): Plan {
    const { prune } = this.#options;
    for (const collision of this.#collisions) this.#complaints.add(this.#tellCollision(collision));
    const left = [...this.#leftEntries(), ...this.#leftRelationships()];
    const removals = prune ? left : [];
    const isTooMany = this.#isTooMany(removals.length);
    if (isTooMany !== undefined) this.#complaints.add(isTooMany);
    return {
      additions: this.#additions,
      changes: this.#changes,
      removals,
      unchanged: this.#unchanged,
      kept: left.length - removals.length,
      complaints: this.#complaints.lines,
      overtaken: () => [...this.#overtaken(removals)],
    };
  }

  /** What is refused when it is stored is told before anything is. */
  #requireRoom(entry: RegistrationEntry, source: string): void {
    try {
      requireRoom(entry);
    } catch (error) {
      this.#complaints.add(`${source}: ${messageOf(error)}`);
    }
  }

  #tellCollision({ id, other, source }: Collision): string {
    const what = `${source}: entry ${quote(id)}: ${quote(other.id)} has the same parent, ID and selectors`;
    const moving = this.#moving.get(other.id) ?? this.#wantedIds.get(other.id);
    const isRemoved = this.#options.prune && other.managedBy === this.#options.set;
    if (moving === undefined && !isRemoved) return `${what} already`;
    const away = moving === undefined ? 'is to be removed' : `is to have others, at ${moving}`;
    return `${what} now, and ${away}: that takes two applies, the first with entry ${quote(id)} as it is, or elsewhere`;
  }

  *#overtaken(removals: readonly Step[]): Generator<string> {
    const changed = this.#changes.flatMap(
      (step) => (step.subject === 'entry' ? step.before : []) ?? [],
    );
    for (const { entry, revision } of [...this.#bases, ...changed])
      if (this.#present.entry(entry.id)?.revision !== revision) yield `entry ${quote(entry.id)}`;
    for (const { before, subject } of removals) {
      if (subject !== 'entry' || before === undefined) continue;
      if (before.revision > this.#since) yield `entry ${quote(before.entry.id)}`;
    }
    if (this.#options.prune) yield* this.#joinedSince(removals);
  }

  /** What came to the set, is not desired, and is not known to be. */
  *#joinedSince(removals: readonly Step[]): Generator<string> {
    const removed = new Set(
      removals.flatMap((step) => (step.subject === 'entry' ? step.before?.entry.id : []) ?? []),
    );
    for (const { id, managedBy } of this.#present.entries()) {
      if (managedBy !== this.#options.set || this.#wantedIds.has(id) || removed.has(id)) continue;
      yield `entry ${quote(id)}`;
    }
  }

  #isTooMany(removals: number): string | undefined {
    const { set, allowRemovals } = this.#options;
    if (allowRemovals || removals === 0) return undefined;
    const of = removals + this.#unchanged + this.#changes.length;
    const what = `${removals} of ${of} that the set ${quote(set)} has would be removed`;
    if (this.#count === 0) return `there are no documents, and ${what}; --allow-removals does it`;
    const { removedFreely, removedShare } = applyLimits;
    if (removals <= removedFreely || removals <= of * removedShare) return undefined;
    return `${what}, more than half; --allow-removals does it`;
  }

  /** False when another document wants the same. */
  #want(id: string | undefined, entry: RegistrationEntry, source: string): boolean {
    const key = identityOf(entry);
    const other =
      this.#wantedKeys.get(key) ?? (id === undefined ? undefined : this.#wantedIds.get(id));
    if (other !== undefined) {
      this.#complaints.add(`${source}: the same entry as at ${other}`);
      return false;
    }
    this.#wantedKeys.set(key, source);
    if (id !== undefined) this.#wantedIds.set(id, source);
    return true;
  }

  #mayTake(managedBy: string | undefined, what: string, source: string): boolean {
    const { set, takeOver } = this.#options;
    if (managedBy === undefined || managedBy === set || takeOver) return true;
    this.#complaints.add(
      `${source}: ${what} is kept by the set ${quote(managedBy)}; --take-over takes it`,
    );
    return false;
  }

  *#leftEntries(): Generator<Step> {
    for (const entry of this.#present.entries()) {
      if (entry.managedBy !== this.#options.set || this.#wantedIds.has(entry.id)) continue;
      const before = this.#present.entry(entry.id);
      if (before !== undefined)
        yield { subject: 'entry', before, after: undefined, fields: [], source: '' };
    }
  }

  *#leftRelationships(): Generator<Step> {
    for (const before of this.#present.relationships()) {
      const isWanted = this.#wantedDomains.has(before.trustDomain.name);
      if (before.managedBy !== this.#options.set || isWanted) continue;
      yield { subject: 'relationship', before, after: undefined, fields: [], source: '' };
    }
  }
}

/** All steps, in the order in which they are done. */
export function stepsOf({ additions, changes, removals }: Plan): readonly Step[] {
  return [...additions, ...changes, ...removals];
}
