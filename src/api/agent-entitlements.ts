import type { AgentRegistry, AttestedAgent } from '../agents/index.ts';
import type { AgentEntries, EntryRegistry } from '../entries/index.ts';
import { SelectorSet, type SpiffeId } from '../spiffe/index.ts';

interface Held {
  readonly selectors: AttestedAgent['selectors'];
  readonly entries: AgentEntries;
}

/** What each agent may serve, live: kept from when it is first asked for until the agent is gone or banned. */
export class AgentEntitlements {
  readonly #agents: Pick<AgentRegistry, 'get' | 'watch'>;
  readonly #entries: Pick<EntryRegistry, 'authorizedEntries'>;
  readonly #held = new Map<string, Held>();
  readonly #stop: () => void;

  constructor(
    agents: Pick<AgentRegistry, 'get' | 'watch'>,
    entries: Pick<EntryRegistry, 'authorizedEntries'>,
  ) {
    this.#agents = agents;
    this.#entries = entries;
    this.#stop = agents.watch(({ id, agent }) => {
      if (agent === undefined || agent.banned) this.#drop(id.path);
      else if (this.#held.has(id.path)) this.#follow(agent);
    });
  }

  /** Undefined for an agent that is not attested now, or banned. The same object until then, whatever its node shows. */
  of(id: SpiffeId): AgentEntries | undefined {
    const agent = this.#agents.get(id);
    return agent === undefined || agent.banned ? undefined : this.#follow(agent);
  }

  /** How many agents may serve one of these entries, of those that were heard of here. */
  countServing(entryIds: readonly string[]): number {
    const held = [...this.#held.values()];
    return held.filter(({ entries }) => entryIds.some((id) => entries.heldAs(id) !== undefined))
      .length;
  }

  close(): void {
    this.#stop();
    for (const path of this.#held.keys()) this.#drop(path);
  }

  #follow(agent: AttestedAgent): AgentEntries {
    const { id, selectors } = agent;
    const held = this.#held.get(id.path);
    if (held?.selectors === selectors) return held.entries;
    const nodeSelectors = nodeSelectorsOf(agent);
    const entries =
      held?.entries ?? this.#entries.authorizedEntries({ agentId: id, nodeSelectors });
    this.#held.set(id.path, { selectors, entries });
    if (held !== undefined) entries.show(nodeSelectors);
    return entries;
  }

  #drop(path: string): void {
    this.#held.get(path)?.entries.close();
    this.#held.delete(path);
  }
}

/** Those its attestor found, and the one that each attested node shows. */
export function nodeSelectorsOf({
  id,
  selectors,
}: Pick<AttestedAgent, 'id' | 'selectors'>): SelectorSet {
  return SelectorSet.of([...selectors, { type: 'spiffe_id', value: id.toString() }]);
}
