import {
  type Clock,
  formatSelector,
  type RegistrationEntry,
  type SelectorSet,
  type SpiffeId,
} from '../spiffe/index.ts';
import type { EntryChange, EntryGraph } from './entry-graph.ts';
import { EntryIndex } from './entry-index.ts';

/** The parent of node aliases. */
const SERVER_PATH = '/spire/server';

/** The entries one agent may serve, live. */
export interface AuthorizedEntries {
  /** Entries for a workload with these selectors, oldest first (createdAt, then id); none that is expired or storeSvid. */
  match(selectors: SelectorSet): readonly RegistrationEntry[];
  /** An entry by its ID, when the agent may serve it now. */
  get(entryId: string): RegistrationEntry | undefined;
  /** Calls the listener after each change of these entries, before the change's write resolves. Returns the way to stop. */
  watch(listener: () => void): () => void;
}

/** The same, as long as somebody follows it. */
export interface AgentEntries extends AuthorizedEntries {
  /** All that the agent may serve now, in order of their IDs; those with storeSvid too. */
  all(): readonly RegistrationEntry[];
  /** Stops following the entries; what was known last stays. */
  close(): void;
}

/** An attested agent: its ID and what its node shows. */
export interface AgentFacts {
  readonly agentId: SpiffeId;
  readonly nodeSelectors: SelectorSet;
}

/**
 * Keeps the closure of one agent: entries below the agent itself, below a node alias whose selectors
 * its node shows, and below the SPIFFE ID of any entry of the closure. The work of a change is
 * proportional to what the change moves in or out.
 */
export class AgentClosure implements AgentEntries {
  readonly #graph: EntryGraph;
  readonly #agent: AgentFacts;
  readonly #clock: Clock;
  readonly #members = new Map<string, RegistrationEntry>();
  readonly #index = new EntryIndex();
  /** Paths of the IDs below which entries belong to the closure. */
  readonly #parents = new Set<string>();
  readonly #listeners = new Set<() => void>();
  readonly #stop: () => void;
  #moved = false;

  constructor(graph: EntryGraph, agent: AgentFacts, clock: Clock) {
    this.#graph = graph;
    this.#agent = agent;
    this.#clock = clock;
    this.#reach(agent.agentId.path);
    for (const alias of graph.childrenOf(SERVER_PATH)) {
      if (this.#isAlias(alias)) this.#reach(alias.spiffeId.path);
    }
    this.#stop = graph.watch((changes) => this.#follow(changes));
  }

  /** How many entries the agent may serve. */
  get size(): number {
    return this.#members.size;
  }

  /** How many candidates all matches have looked at so far. */
  get checks(): number {
    return this.#index.checks;
  }

  get(entryId: string): RegistrationEntry | undefined {
    const entry = this.#members.get(entryId);
    return entry !== undefined && this.#isCurrent(entry) ? entry : undefined;
  }

  match(selectors: SelectorSet): readonly RegistrationEntry[] {
    const found = this.#index.match(selectors).filter((entry) => this.#isCurrent(entry));
    return found.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  all(): readonly RegistrationEntry[] {
    const current = [...this.#members.values()].filter((entry) => this.#isCurrent(entry));
    return current.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  #isCurrent(entry: RegistrationEntry): boolean {
    return entry.expiresAt === undefined || entry.expiresAt > this.#clock.now();
  }

  #follow(changes: readonly EntryChange[]): void {
    this.#moved = false;
    for (const { before, after } of changes) {
      if (before !== undefined) {
        this.#drop(before.id);
        this.#recheck([before.spiffeId.path]);
      }
      if (after === undefined) continue;
      if (this.#parents.has(after.parentId.path)) this.#take([after]);
      else if (this.#isAlias(after)) this.#reach(after.spiffeId.path);
    }
    if (this.#moved) for (const listener of this.#listeners) listener();
  }

  #isAlias(entry: RegistrationEntry): boolean {
    return (
      entry.parentId.path === SERVER_PATH &&
      this.#agent.nodeSelectors.includesAll(entry.selectors.map(formatSelector))
    );
  }

  /** An ID became a parent of the closure. */
  #reach(path: string): void {
    if (this.#parents.has(path)) return;
    this.#parents.add(path);
    this.#take([...this.#graph.childrenOf(path)]);
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

  /** Searches upward from `start` for the agent or an alias; remembers IDs from which there is no way. */
  #isReachable(start: string, unreachable: Set<string>): boolean {
    const seen = new Set<string>([start]);
    const ahead = [start];
    for (let path = ahead.pop(); path !== undefined; path = ahead.pop()) {
      if (path === this.#agent.agentId.path) return true;
      for (const entry of this.#graph.withPath(path)) {
        if (this.#isAlias(entry)) return true;
        const parent = entry.parentId.path;
        if (seen.has(parent) || unreachable.has(parent)) continue;
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
    this.#members.set(entry.id, entry);
    if (!entry.storeSvid) this.#index.add(entry);
    this.#moved = true;
  }

  #drop(entryId: string): void {
    const entry = this.#members.get(entryId);
    if (entry === undefined) return;
    this.#members.delete(entryId);
    if (!entry.storeSvid) this.#index.remove(entry);
    this.#moved = true;
  }
}
