import {
  type Clock,
  formatSelector,
  type RegistrationEntry,
  type SelectorSet,
  type SpiffeId,
  type SuspensionSource,
} from '../spiffe/index.ts';
import { type AgentEntries, type AttestedNode, EntryUnion } from './authorized-entries.ts';
import { type Bag, bagItems, bagSize, bagWith, bagWithout } from './bag.ts';
import { EntryClosure } from './entry-closure.ts';
import type { EntryChange, EntryGraph } from './entry-graph.ts';
import { EntryIndex } from './entry-index.ts';
import { SuspendedEntries } from './suspended-entries.ts';

/** The parent of node aliases. */
const SERVER_PATH = '/spire/server';

/** A closure with the agents that have it. */
interface Followed {
  readonly roots: readonly string[];
  readonly closure: EntryClosure;
  members: Bag<Member>;
}

/** One agent whose entries somebody follows. */
interface Member {
  readonly agentId: SpiffeId;
  readonly entries: EntryUnion;
  readonly own: Followed;
  shared: Followed;
  nodeSelectors: SelectorSet;
}

/** What agents are not entitled to. */
interface Suspended {
  /** Default: no agent is. */
  readonly agents?: SuspensionSource | undefined;
  readonly entries: Pick<SuspendedEntries, 'has'>;
}

/**
 * The entries of every agent that somebody follows: those below the agent itself, which are its own,
 * and those below the node aliases whose selectors its node shows, which it shares with all agents
 * that have the same aliases. A change is looked at by the agents it may concern and by no others.
 */
export class AgentClosures {
  readonly #graph: EntryGraph;
  readonly #clock: Clock;
  readonly #suspended: Suspended;
  readonly #unwatch: (() => void) | undefined;
  readonly #members = new Set<Member>();
  readonly #aliases = new EntryIndex();
  readonly #byRoot = new Map<string, Bag<Followed>>();
  /** By the roots that agents share. */
  readonly #shared = new Map<string, Followed>();

  constructor(
    graph: EntryGraph,
    clock: Clock,
    suspended: Suspended = { entries: new SuspendedEntries(undefined) },
  ) {
    this.#graph = graph;
    this.#clock = clock;
    this.#suspended = suspended;
    this.#unwatch = suspended.agents?.watch(() => this.#judgeAgents());
    for (const entry of graph.childrenOf(SERVER_PATH)) this.#aliases.add(entry);
    graph.watch((changes) => this.#follow(changes));
  }

  /** How many closures are kept. */
  get size(): number {
    return this.#members.size + this.#shared.size;
  }

  open({ agentId, nodeSelectors }: AttestedNode): AgentEntries {
    const own = this.#add([agentId.path]);
    const shared = this.#shareBelowAliases(nodeSelectors);
    const entries = new EntryUnion(
      [own.closure, shared.closure],
      this.#clock,
      this.#suspended.entries,
    );
    entries.withhold(this.#isSuspended(agentId));
    const member: Member = { agentId, entries, own, shared, nodeSelectors };
    this.#members.add(member);
    own.members = bagWith(own.members, member);
    shared.members = bagWith(shared.members, member);
    return {
      match: (selectors) => entries.match(selectors),
      get: (entryId) => entries.get(entryId),
      all: () => entries.all(),
      held: () => entries.held(),
      heldAs: (entryId) => entries.heldAs(entryId),
      watch: (listener) => entries.watch(listener),
      show: (selectors) => this.#show(member, selectors),
      close: () => this.#close(member),
    };
  }

  /** Nobody is told of suspensions any more. */
  close(): void {
    this.#unwatch?.();
  }

  #judgeAgents(): void {
    for (const { agentId, entries } of this.#members) {
      entries.withhold(this.#isSuspended(agentId));
    }
  }

  #isSuspended(agentId: SpiffeId): boolean {
    return this.#suspended.agents?.find({ spiffeId: agentId, agentId }) !== undefined;
  }

  #follow(changes: readonly EntryChange[]): void {
    const aliases = this.#followAliases(changes);
    if (this.#members.size === 0) return;
    const touched = this.#above(changes);
    for (const { closure } of touched) closure.follow(changes);
    const former = new Map<Member, readonly EntryClosure[]>();
    for (const { members } of touched) {
      for (const member of bagItems(members)) former.set(member, member.entries.closures);
    }
    for (const member of this.#showing(aliases)) {
      former.set(member, member.entries.closures);
      this.#moveShared(member);
    }
    for (const [{ entries }, closures] of former) entries.tell(closures);
    for (const { closure } of touched) closure.settle();
  }

  /** The selectors of the aliases that came or went. */
  #followAliases(changes: readonly EntryChange[]): readonly (readonly string[])[] {
    const moved: string[][] = [];
    for (const { before, after } of changes) {
      for (const [entry, isNew] of [
        [before, false],
        [after, true],
      ] as const) {
        if (entry === undefined || !isAlias(entry)) continue;
        if (isNew) this.#aliases.add(entry);
        else this.#aliases.remove(entry);
        moved.push(entry.selectors.map(formatSelector));
      }
    }
    return moved;
  }

  /**
   * The closures that have a root above a changed entry. One whose way down to the entry is broken by
   * these very changes is found too: above the uppermost break its way stands.
   */
  #above(changes: readonly EntryChange[]): ReadonlySet<Followed> {
    const found = new Set<Followed>();
    const seen = new Set<string>();
    const ahead = changes.flatMap(({ before, after }) =>
      [before, after].flatMap((entry) => entry?.parentId.path ?? []),
    );
    for (let path = ahead.pop(); path !== undefined; path = ahead.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      for (const followed of bagItems(this.#byRoot.get(path))) found.add(followed);
      for (const { parentId } of this.#graph.withPath(path)) ahead.push(parentId.path);
    }
    return found;
  }

  #showing(aliases: readonly (readonly string[])[]): readonly Member[] {
    if (aliases.length === 0) return [];
    return [...this.#members].filter(({ nodeSelectors }) =>
      aliases.some((selectors) => nodeSelectors.includesAll(selectors)),
    );
  }

  #show(member: Member, nodeSelectors: SelectorSet): void {
    if (!this.#members.has(member) || member.nodeSelectors.key === nodeSelectors.key) return;
    member.nodeSelectors = nodeSelectors;
    const former = member.entries.closures;
    this.#moveShared(member);
    member.entries.tell(former);
  }

  #moveShared(member: Member): void {
    const before = member.shared;
    const after = this.#shareBelowAliases(member.nodeSelectors);
    if (after === before) return;
    member.shared = after;
    after.members = bagWith(after.members, member);
    member.entries.closures = [member.own.closure, after.closure];
    this.#leaveShared(before, member);
  }

  #close(member: Member): void {
    if (!this.#members.delete(member)) return;
    member.entries.forget();
    this.#remove(member.own);
    this.#leaveShared(member.shared, member);
  }

  #shareBelowAliases(nodeSelectors: SelectorSet): Followed {
    const paths = this.#aliases.match(nodeSelectors).map(({ spiffeId }) => spiffeId.path);
    const roots = [...new Set(paths)].sort();
    const key = roots.join('\n');
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const made = this.#add(roots);
    this.#shared.set(key, made);
    return made;
  }

  #leaveShared(followed: Followed, member: Member): void {
    followed.members = bagWithout(followed.members, member);
    if (bagSize(followed.members) > 0) return;
    this.#shared.delete(followed.roots.join('\n'));
    this.#remove(followed);
  }

  #add(roots: readonly string[]): Followed {
    const closure = new EntryClosure(this.#graph, roots);
    const followed: Followed = { roots, closure, members: undefined };
    for (const root of roots) {
      this.#byRoot.set(root, bagWith(this.#byRoot.get(root), followed));
    }
    return followed;
  }

  #remove(followed: Followed): void {
    for (const root of followed.roots) {
      const rest = bagWithout(this.#byRoot.get(root), followed);
      if (rest === undefined) this.#byRoot.delete(root);
      else this.#byRoot.set(root, rest);
    }
  }
}

function isAlias(entry: RegistrationEntry): boolean {
  return entry.parentId.path === SERVER_PATH;
}
