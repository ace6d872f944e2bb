import type { PolicyTaker, SpiffeId } from '../spiffe/index.ts';

/** An agent that takes policies, and what is in force on its host. */
export interface TakingAgent {
  readonly agentId: string;
  readonly isConnected: boolean;
  /** Since when it is connected, or gone; milliseconds since the epoch. */
  readonly since: number;
  /** Empty until it has said. */
  readonly takers: readonly PolicyTaker[];
}

const MAX_ABSENT = 20_000;

/** Who takes policies from this server, and what they have in force. */
export class PolicyTakers {
  readonly #now: () => number;
  readonly #agents = new Map<string, TakingAgent & { readonly streams: number }>();
  readonly #listeners = new Set<() => void>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** By ID. */
  list(): readonly TakingAgent[] {
    return [...this.#agents.values()].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** For each stream; another may take the place of one before that one ends. */
  onConnected(id: SpiffeId): void {
    const before = this.#agents.get(id.toString());
    const since = before?.isConnected === true ? before.since : this.#now();
    this.#put(id, { isConnected: true, since, takers: before?.takers ?? [] }, 1);
  }

  onTakers(id: SpiffeId, takers: readonly PolicyTaker[]): void {
    const before = this.#agents.get(id.toString());
    if (before !== undefined) this.#put(id, { ...before, takers }, 0);
  }

  onDisconnected(id: SpiffeId): void {
    const before = this.#agents.get(id.toString());
    if (before === undefined) return;
    if (before.streams > 1) return this.#put(id, before, -1);
    this.#put(id, { ...before, isConnected: false, since: this.#now() }, -1);
    this.#forgetOldest();
  }

  /** It is no agent any more. */
  forget(id: SpiffeId): void {
    if (this.#agents.delete(id.toString())) this.#tell();
  }

  #put(id: SpiffeId, agent: Omit<TakingAgent, 'agentId'>, streams: 1 | 0 | -1): void {
    const agentId = id.toString();
    const before = this.#agents.get(agentId)?.streams ?? 0;
    this.#agents.delete(agentId);
    this.#agents.set(agentId, { ...agent, agentId, streams: before + streams });
    this.#tell();
  }

  #forgetOldest(): void {
    if (this.#agents.size <= MAX_ABSENT) return;
    for (const [agentId, { isConnected }] of this.#agents) {
      if (isConnected) continue;
      this.#agents.delete(agentId);
      return;
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
