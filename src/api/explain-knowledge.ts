import { setImmediate } from 'node:timers/promises';
import type { AgentRegistry } from '../agents/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import {
  type AgentStanding,
  type ChainGoal,
  findParentChain,
  type KnownEntry,
  NearestEntries,
  type ParentChain,
  type SuspensionFacts,
} from '../explain/index.ts';
import {
  type RegistrationEntry,
  SelectorSet,
  type SpiffeId,
  type Suspension,
  type SuspensionSource,
  TrustplaneError,
} from '../spiffe/index.ts';
import { nodeSelectorsOf } from './agent-entitlements.ts';

export const explainLimits = {
  /** Entries of an answer that lead to the agent, and of others. */
  here: 24,
  elsewhere: 8,
  /** Entries that are looked at before others have their turn. */
  turn: 500,
  /** Questions that wait for each other. */
  waiting: 16,
  /** Of these, of all agents: administrators always have some left. */
  waitingOfAgents: 12,
  /** Of one agent. */
  waitingOfOne: 2,
} as const;

export interface KnowledgeOptions {
  readonly entries: Pick<EntryRegistry, 'all' | 'withPath' | 'departed'>;
  readonly agents: Pick<AgentRegistry, 'get'>;
  /** Default: nothing is suspended. */
  readonly suspensions?: Pick<SuspensionSource, 'find'> | undefined;
  /** The agent of the same process. */
  readonly localAgent?: SpiffeId | undefined;
}

/** What somebody asks of the entries. */
export interface EntryQuestion {
  /** Texts; undefined: of whatever workload. */
  readonly selectors: readonly string[] | undefined;
  readonly spiffeId: SpiffeId | undefined;
  /** Below which agent; undefined: any. */
  readonly agentId: SpiffeId | undefined;
}

/** What a server knows that explains. One question is answered at a time, a few hundred entries at a turn. */
export class ExplainKnowledge {
  readonly #options: KnowledgeOptions;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** By agent. */
  readonly #asking = new Map<string, number>();

  constructor(options: KnowledgeOptions) {
    this.#options = options;
  }

  /** Entries that match or are near, or have the ID: of any agent, so for administrators. @throws TrustplaneError ERR_EXPLAIN_BUSY */
  async find(question: EntryQuestion): Promise<readonly KnownEntry[]> {
    return await this.#inTurn(() => this.#search(question, explainLimits.elsewhere));
  }

  /** Those that the agent may have, or might were they not suspended or gone: nothing of any other agent. @throws as `find` */
  async findFor(
    agentId: SpiffeId,
    question: Omit<EntryQuestion, 'agentId'>,
  ): Promise<readonly KnownEntry[]> {
    const id = agentId.toString();
    const count = this.#asking.get(id) ?? 0;
    const { waitingOfAgents, waitingOfOne } = explainLimits;
    if (count >= waitingOfOne) throw busy(`${count} questions of ${id}`);
    if (this.#waiting >= waitingOfAgents) throw busy(`${this.#waiting} questions`);
    this.#asking.set(id, count + 1);
    try {
      return await this.#inTurn(() => this.#search({ ...question, agentId }, 0));
    } finally {
      const left = (this.#asking.get(id) ?? 1) - 1;
      if (left === 0) this.#asking.delete(id);
      else this.#asking.set(id, left);
    }
  }

  /** How an agent stands here. */
  standing(agentId: SpiffeId): AgentStanding {
    const agent = this.#options.agents.get(agentId);
    const id = agentId.toString();
    const isLocal = this.#options.localAgent?.equals(agentId) === true;
    const message = `agent ${id} is not attested`;
    return {
      agentId: id,
      isLocal,
      expiresAt: agent && Math.max(agent.svid.expiresAt, agent.renewedSvid?.expiresAt ?? 0),
      isBanned: agent?.banned === true,
      suspension: suspensionFacts(this.#options.suspensions?.find({ spiffeId: agentId, agentId })),
      faults: agent === undefined && !isLocal ? [{ code: 'ERR_AGENT_NOT_ATTESTED', message }] : [],
      server: undefined,
      isComplete: true,
      updatedAt: undefined,
      entries: undefined,
    };
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= explainLimits.waiting) throw busy(`${this.#waiting} questions`);
    this.#waiting++;
    const turn = this.#last.then(work).finally(() => this.#waiting--);
    this.#last = turn.catch(() => {});
    return await turn;
  }

  async #search(question: EntryQuestion, elsewhere: number): Promise<readonly KnownEntry[]> {
    const { spiffeId, selectors = [], agentId } = question;
    const chainOf = this.#chains(this.#goalOf(agentId));
    const here = new NearestEntries(selectors, explainLimits.here);
    const others = new NearestEntries(selectors, elsewhere);
    const isAny = spiffeId !== undefined;
    const consider = (entry: RegistrationEntry): void =>
      (chainOf(entry).reaches ? here : others).consider(entry, isAny);
    const { entries } = this.#options;
    const all = isAny ? entries.withPath(spiffeId.path) : entries.all();
    let count = 0;
    for (const entry of all) {
      if (++count % explainLimits.turn === 0) await setImmediate();
      consider(entry);
    }
    const standing = [...here.best, ...others.best].map(({ entry }) =>
      this.#known(entry, chainOf(entry), agentId),
    );
    return [...standing, ...this.#departed(question, here, chainOf, elsewhere > 0)];
  }

  /** Those that are gone and would answer the question. */
  #departed(
    { spiffeId, agentId }: EntryQuestion,
    nearest: NearestEntries,
    chainOf: (entry: RegistrationEntry) => ParentChain,
    isForAll: boolean,
  ): readonly KnownEntry[] {
    return this.#options.entries
      .departed()
      .filter(({ entry }) => spiffeId === undefined || entry.spiffeId.equals(spiffeId))
      .filter(({ entry }) => nearest.compare(entry).gaps.length === 0 || spiffeId !== undefined)
      .filter(({ entry }) => isForAll || chainOf(entry).reaches)
      .slice(-explainLimits.elsewhere)
      .map(({ entry, at, how }) => ({
        ...this.#known(entry, chainOf(entry), agentId),
        gone: { at, how },
      }));
  }

  #known(entry: RegistrationEntry, chain: ParentChain, agentId: SpiffeId | undefined): KnownEntry {
    const { spiffeId, id: entryId } = entry;
    const suspension = this.#options.suspensions?.find({ spiffeId, entryId, agentId });
    return { entry, chain, gone: undefined, suspension: suspensionFacts(suspension) };
  }

  #goalOf(agentId: SpiffeId | undefined): ChainGoal | undefined {
    if (agentId === undefined) return undefined;
    const agent = this.#options.agents.get(agentId);
    const own = [{ type: 'spiffe_id', value: agentId.toString() }];
    const nodeSelectors = agent === undefined ? SelectorSet.of(own) : nodeSelectorsOf(agent);
    return { path: agentId.path, nodeSelectors };
  }

  /** All that are below one parent have the same way. */
  #chains(goal: ChainGoal | undefined): (entry: RegistrationEntry) => ParentChain {
    const known = new Map<string, ParentChain>();
    return (entry) => {
      const { path } = entry.parentId;
      let chain = known.get(path);
      if (chain === undefined) {
        chain = findParentChain(entry, goal, (parent) => this.#options.entries.withPath(parent));
        known.set(path, chain);
      }
      return chain;
    };
  }
}

function suspensionFacts(suspension: Suspension | undefined): SuspensionFacts | undefined {
  if (suspension === undefined) return undefined;
  const { kind, value, since, reason, by } = suspension;
  return { kind, value, since, reason, by };
}

function busy(what: string): TrustplaneError {
  return new TrustplaneError('ERR_EXPLAIN_BUSY', `${what} wait already; try again`);
}
