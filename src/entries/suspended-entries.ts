import {
  type RegistrationEntry,
  SpiffeId,
  type Suspension,
  type SuspensionSource,
} from '../spiffe/index.ts';
import type { EntryGraph } from './entry-graph.ts';

/**
 * Which entries are suspended, as those who follow them were told: an entry that is judged otherwise is another
 * object from then on, so that whoever holds the former one can tell it from what comes after.
 */
export class SuspendedEntries {
  readonly #source: SuspensionSource | undefined;
  readonly #entries = new WeakSet<RegistrationEntry>();
  #known: ReadonlySet<Suspension>;

  constructor(source: SuspensionSource | undefined) {
    this.#source = source;
    this.#known = new Set(source?.list());
  }

  has(entry: RegistrationEntry): boolean {
    return this.#entries.has(entry);
  }

  /** Judges an entry that nobody was told of yet. */
  judge(entry: RegistrationEntry): RegistrationEntry {
    const { spiffeId, id: entryId } = entry;
    if (this.#source?.find({ spiffeId, entryId }) !== undefined) this.#entries.add(entry);
    return entry;
  }

  /** Entries that are judged otherwise than before, since suspensions came or went. */
  changed(graph: Pick<EntryGraph, 'get' | 'withPath'>): readonly RegistrationEntry[] {
    const former = this.#known;
    this.#known = new Set(this.#source?.list());
    const moved = [...former, ...this.#known].filter(
      (one) => !former.has(one) || !this.#known.has(one),
    );
    const meant = new Set(moved.flatMap((suspension) => entriesOf(suspension, graph)));
    return [...meant].filter(
      (entry) => (this.#source?.find(subjectOf(entry)) !== undefined) !== this.has(entry),
    );
  }
}

function subjectOf({ spiffeId, id }: RegistrationEntry) {
  return { spiffeId, entryId: id };
}

/** Those that a suspension names; of an agent's none, which is for the agent alone. */
function entriesOf(
  { kind, value }: Suspension,
  graph: Pick<EntryGraph, 'get' | 'withPath'>,
): readonly RegistrationEntry[] {
  if (kind === 'agent') return [];
  if (kind === 'spiffe-id') return [...graph.withPath(SpiffeId.parse(value).path)];
  const entry = graph.get(value);
  return entry === undefined ? [] : [entry];
}
