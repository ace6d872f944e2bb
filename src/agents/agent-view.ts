import type { Log, Metrics } from '../ops/index.ts';
import { messageOf, type SpiffeId, type TrustDomain } from '../spiffe/index.ts';
import type { FeedTarget, StoredRecord, StoreEvent, StoreSnapshot } from '../store/index.ts';
import type { AttestedAgent } from './agent.ts';
import { decodeAgentRecord } from './agent-record.ts';

/** One agent that came or changed, or went (no `agent`): evicted, or its record became unreadable. */
export interface AgentChange {
  readonly id: SpiffeId;
  readonly agent: AttestedAgent | undefined;
}

export interface HeldAgent {
  readonly agent: AttestedAgent;
  readonly revision: number;
  /** As stored. */
  readonly bytes: number;
}

/** The stored agents in memory. What cannot be read is left out: it may do nothing until it is deleted. */
export class AgentView implements FeedTarget {
  readonly #options: { readonly trustDomain: TrustDomain; readonly log: Log };
  readonly #listeners = new Set<(change: AgentChange) => void>();
  /** All are of one trust domain, so the path alone stands for an ID. */
  readonly #byPath = new Map<string, HeldAgent>();
  readonly #pathOfKey = new Map<string, string>();
  readonly #count;
  readonly #unreadable;
  #paths: readonly string[] | undefined;

  constructor(options: {
    readonly trustDomain: TrustDomain;
    readonly log: Log;
    readonly metrics: Metrics;
  }) {
    this.#options = options;
    const { metrics } = options;
    this.#count = metrics.gauge('trustplane_agents_current_count', 'Attested agents.');
    this.#unreadable = metrics.counter(
      'trustplane_agents_unreadable_total',
      'Stored agents that could not be read and are refused.',
    );
  }

  get size(): number {
    return this.#byPath.size;
  }

  /** Sorted. */
  get paths(): readonly string[] {
    this.#paths ??= [...this.#byPath.keys()].sort();
    return this.#paths;
  }

  get all(): readonly HeldAgent[] {
    return [...this.#byPath.values()];
  }

  at(path: string): HeldAgent | undefined {
    return this.#byPath.get(path);
  }

  /** Returns the way to stop. */
  watch(listener: (change: AgentChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onSnapshot({ records }: StoreSnapshot): void {
    const gone = new Set(this.#pathOfKey.keys());
    for (const record of records) {
      gone.delete(record.key);
      if (this.#revisionAt(record.key) !== record.revision) {
        this.#set(record.key, this.#read(record));
      }
    }
    for (const key of gone) this.#set(key, undefined);
  }

  onEvent(event: StoreEvent): void {
    if (this.#revisionAt(event.key) >= event.revision) return;
    this.#set(event.key, event.type === 'put' ? this.#read(event) : undefined);
  }

  #revisionAt(key: string): number {
    return this.#byPath.get(this.#pathOfKey.get(key) ?? '')?.revision ?? 0;
  }

  #read({ key, value, revision }: StoredRecord): HeldAgent | undefined {
    try {
      const agent = decodeAgentRecord(key, value, this.#options.trustDomain);
      return { agent, revision, bytes: value.length };
    } catch (error) {
      this.#unreadable.inc();
      const fields = { key, revision, error: messageOf(error) };
      this.#options.log.error(fields, 'a stored agent is refused until it is deleted');
      return undefined;
    }
  }

  #set(key: string, held: HeldAgent | undefined): void {
    const path = held?.agent.id.path ?? this.#pathOfKey.get(key);
    if (path === undefined) return;
    const before = this.#byPath.get(path);
    if (held === undefined) {
      this.#byPath.delete(path);
      this.#pathOfKey.delete(key);
    } else {
      this.#byPath.set(path, held);
      this.#pathOfKey.set(key, path);
    }
    if (before === undefined || held === undefined) this.#paths = undefined;
    this.#count.set(this.#byPath.size);
    const id = (held ?? before)?.agent.id;
    if (id === undefined) return;
    for (const listener of this.#listeners) listener({ id, agent: held?.agent });
  }
}
