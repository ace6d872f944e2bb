import {
  type Clock,
  compareAge,
  isCurrent,
  type RegistrationEntry,
  type SelectorSet,
  type SpiffeId,
} from '../spiffe/index.ts';
import type { EntryClosure } from './entry-closure.ts';
import type { EntryChange } from './entry-graph.ts';
import type { SuspendedEntries } from './suspended-entries.ts';

/** The entries one agent may serve, live. */
export interface AuthorizedEntries {
  /** Entries for a workload with these selectors, oldest first (createdAt, then id); none that is expired or storeSvid. */
  match(selectors: SelectorSet): readonly RegistrationEntry[];
  /** An entry by its ID, when the agent may serve it now. */
  get(entryId: string): RegistrationEntry | undefined;
  /** Calls the listener after each change of these entries, before the change's write resolves. Returns the way to stop. */
  watch(listener: (changes: readonly EntryChange[]) => void): () => void;
}

/** The same, as long as somebody follows it. */
export interface AgentEntries extends AuthorizedEntries {
  /** All that the agent may serve now, in order of their IDs; those with storeSvid too. */
  all(): readonly RegistrationEntry[];
  /** What `watch` tells adds up to these: all of them, until the change that an entry expired is told. */
  held(): Iterable<RegistrationEntry>;
  /** One of them. */
  heldAs(entryId: string): RegistrationEntry | undefined;
  /** The node shows other selectors from now on, and has other aliases. */
  show(nodeSelectors: SelectorSet): void;
  /** Nothing is told any more, and what is asked for may be old. */
  close(): void;
}

/** An attested agent: its ID and what its node shows. */
export interface AttestedNode {
  readonly agentId: SpiffeId;
  readonly nodeSelectors: SelectorSet;
}

/** The entries of one agent, out of closures that others may share; none that is suspended. An entry may be in several. */
export class EntryUnion {
  readonly #clock: Clock;
  readonly #suspended: Pick<SuspendedEntries, 'has'>;
  readonly #listeners = new Set<(changes: readonly EntryChange[]) => void>();
  closures: readonly EntryClosure[];
  /** The agent is suspended. */
  #isWithheld = false;

  constructor(
    closures: readonly EntryClosure[],
    clock: Clock,
    suspended: Pick<SuspendedEntries, 'has'>,
  ) {
    this.closures = closures;
    this.#clock = clock;
    this.#suspended = suspended;
  }

  held(): Iterable<RegistrationEntry> {
    return this.#isWithheld ? [] : this.#unsuspended();
  }

  heldAs(entryId: string): RegistrationEntry | undefined {
    return this.#isWithheld ? undefined : this.#given(entryIn(this.closures, entryId));
  }

  get(entryId: string): RegistrationEntry | undefined {
    const entry = this.heldAs(entryId);
    return entry !== undefined && this.#isCurrent(entry) ? entry : undefined;
  }

  match(selectors: SelectorSet): readonly RegistrationEntry[] {
    if (this.#isWithheld) return [];
    const found = new Set(this.closures.flatMap((closure) => closure.match(selectors)));
    return [...found]
      .filter((entry) => this.#isCurrent(entry) && this.#given(entry) !== undefined)
      .sort(compareAge);
  }

  all(): readonly RegistrationEntry[] {
    return [...this.held()]
      .filter((entry) => this.#isCurrent(entry))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  watch(listener: (changes: readonly EntryChange[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells of what is different now from what `former` closures held before they were touched. */
  tell(former: readonly EntryClosure[]): void {
    if (this.#listeners.size === 0 || this.#isWithheld) return;
    const changes: EntryChange[] = [];
    for (const id of idsThatMayDiffer(former, this.closures)) {
      const before = this.#given(entryBefore(former, id));
      const after = this.#given(entryIn(this.closures, id));
      if (before !== after) changes.push({ before, after });
    }
    this.#say(changes);
  }

  /** The agent is suspended, and may serve nothing; or it is not any more. */
  withhold(isWithheld: boolean): void {
    if (this.#isWithheld === isWithheld) return;
    this.#isWithheld = isWithheld;
    const entries = [...this.#unsuspended()];
    this.#say(
      entries.map((entry) =>
        isWithheld ? { before: entry, after: undefined } : { before: undefined, after: entry },
      ),
    );
  }

  forget(): void {
    this.#listeners.clear();
  }

  #say(changes: readonly EntryChange[]): void {
    if (changes.length === 0) return;
    for (const listener of this.#listeners) listener(changes);
  }

  #unsuspended(): Iterable<RegistrationEntry> {
    const all = new Set(this.closures.flatMap(({ members }) => [...members.values()]));
    for (const entry of all) if (this.#suspended.has(entry)) all.delete(entry);
    return all;
  }

  #given(entry: RegistrationEntry | undefined): RegistrationEntry | undefined {
    return entry !== undefined && this.#suspended.has(entry) ? undefined : entry;
  }

  #isCurrent(entry: RegistrationEntry): boolean {
    return isCurrent(entry, this.#clock.now());
  }
}

function entryIn(closures: readonly EntryClosure[], id: string): RegistrationEntry | undefined {
  for (const { members } of closures) {
    const entry = members.get(id);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

function entryBefore(closures: readonly EntryClosure[], id: string): RegistrationEntry | undefined {
  for (const { members, touched } of closures) {
    const entry = touched.has(id) ? touched.get(id) : members.get(id);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

function idsThatMayDiffer(
  former: readonly EntryClosure[],
  present: readonly EntryClosure[],
): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const closure of new Set([...former, ...present])) {
    const isKept = former.includes(closure) && present.includes(closure);
    for (const id of closure.touched.keys()) ids.add(id);
    if (!isKept) for (const id of closure.members.keys()) ids.add(id);
  }
  return ids;
}
