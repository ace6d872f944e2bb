import type { AgentRegistry, AttestedAgent } from '../agents/index.ts';
import type { AgentEntries, EntryRegistry } from '../entries/index.ts';
import { SelectorSet, type SpiffeId } from '../spiffe/index.ts';

/** What each agent may serve, live: kept from when it is first asked for until the agent is gone or banned. */
export class AgentEntitlements {
  readonly #agents: Pick<AgentRegistry, 'get' | 'watch'>;
  readonly #entries: Pick<EntryRegistry, 'authorizedEntries'>;
  readonly #held = new Map<string, { readonly shown: string; readonly entries: AgentEntries }>();
  readonly #stop: () => void;

  constructor(
    agents: Pick<AgentRegistry, 'get' | 'watch'>,
    entries: Pick<EntryRegistry, 'authorizedEntries'>,
  ) {
    this.#agents = agents;
    this.#entries = entries;
    this.#stop = agents.watch(({ id, agent }) => {
      if (agent === undefined || agent.banned) this.#drop(id.path);
    });
  }

  /** Undefined for an agent that is not attested now, or banned. */
  of(id: SpiffeId): AgentEntries | undefined {
    const agent = this.#agents.get(id);
    if (agent === undefined || agent.banned) return undefined;
    const nodeSelectors = nodeSelectorsOf(agent);
    const shown = nodeSelectors.texts.join('\n');
    const held = this.#held.get(id.path);
    if (held?.shown === shown) return held.entries;
    this.#drop(id.path);
    const entries = this.#entries.authorizedEntries({ agentId: id, nodeSelectors });
    this.#held.set(id.path, { shown, entries });
    return entries;
  }

  close(): void {
    this.#stop();
    for (const path of this.#held.keys()) this.#drop(path);
  }

  #drop(path: string): void {
    this.#held.get(path)?.entries.close();
    this.#held.delete(path);
  }
}

/** Those its attestor found, and the one that each attested node shows. */
function nodeSelectorsOf({ id, selectors }: AttestedAgent): SelectorSet {
  return SelectorSet.of([...selectors, { type: 'spiffe_id', value: id.toString() }]);
}
