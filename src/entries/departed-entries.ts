import { type Clock, isCurrent, type RegistrationEntry } from '../spiffe/index.ts';
import type { EntryChange, EntryGraph } from './entry-graph.ts';

const MAX_DEPARTED = 1_000;

/** An entry that stood a while ago. */
export interface DepartedEntry {
  readonly entry: RegistrationEntry;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly how: 'expired' | 'deleted';
}

/** The last thousand entries that went since the start, for whoever asks why. */
export class DepartedEntries {
  readonly #graph: EntryGraph;
  readonly #clock: Clock;
  /** By ID, the longest gone first. */
  readonly #departed = new Map<string, DepartedEntry>();

  constructor(graph: EntryGraph, clock: Clock) {
    this.#graph = graph;
    this.#clock = clock;
    graph.watch((changes) => this.#note(changes));
  }

  /** Those that have not come back. */
  all(): readonly DepartedEntry[] {
    return [...this.#departed.values()].filter(
      ({ entry }) => this.#graph.get(entry.id) === undefined,
    );
  }

  #note(changes: readonly EntryChange[]): void {
    const at = this.#clock.now();
    for (const { before: entry } of changes) {
      if (entry === undefined || this.#graph.get(entry.id) !== undefined) continue;
      const [oldest] = this.#departed.keys();
      if (this.#departed.size >= MAX_DEPARTED && oldest !== undefined)
        this.#departed.delete(oldest);
      this.#departed.delete(entry.id);
      this.#departed.set(entry.id, {
        entry,
        at,
        how: isCurrent(entry, at) ? 'deleted' : 'expired',
      });
    }
  }
}
