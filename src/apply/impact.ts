import { setImmediate } from 'node:timers/promises';
import {
  AgentClosures,
  type AgentEntries,
  type AttestedNode,
  type EntryChange,
  EntryGraph,
} from '../entries/index.ts';
import {
  type Clock,
  formatSelector,
  isCurrent,
  type RegistrationEntry,
  type SuspensionSource,
  selectorDigest,
  type WorkloadGroup,
} from '../spiffe/index.ts';

/** An agent with the workloads that it says run there. */
export interface ReportedAgent extends AttestedNode {
  readonly groups: readonly WorkloadGroup[];
}

/** Workloads and the agents they are on. */
export interface Touched {
  readonly workloads: number;
  readonly agents: number;
}

/** What a plan means for workloads that run. */
export interface Impact {
  /** Those that lose at least one identity. */
  readonly losing: Touched;
  /** Those that get one they had not. */
  readonly gaining: Touched;
  /** By SPIFFE ID; those with the most workloads first. */
  readonly identities: readonly IdentityImpact[];
}

export interface IdentityImpact {
  readonly spiffeId: string;
  readonly losing: Touched;
  readonly gaining: Touched;
}

/** What else decides who has what. */
export interface ImpactTerms {
  readonly clock: Clock;
  /** Default: nothing is suspended. */
  readonly suspensions?: SuspensionSource | undefined;
}

const nobody: Touched = { workloads: 0, agents: 0 };
const ENTRIES_PER_TURN = 2_000;
const AGENTS_PER_TURN = 50;

/**
 * Has the changes happen in a copy of all entries, and looks which workloads have other identities then.
 * Which entry a change is for an agent is decided as it is for agents.
 */
export async function findImpact(
  present: Iterable<RegistrationEntry>,
  changes: readonly EntryChange[],
  agents: readonly ReportedAgent[],
  { clock, suspensions }: ImpactTerms,
): Promise<Impact> {
  const tally = new Tally();
  if (changes.length > 0 && agents.length > 0) {
    const graph = await copyOf(present);
    const isSuspended = (entry: RegistrationEntry): boolean =>
      suspensions?.find({ spiffeId: entry.spiffeId, entryId: entry.id }) !== undefined;
    const suspended = { agents: suspensions, entries: { has: isSuspended } };
    const closures = new AgentClosures(graph, clock, suspended);
    const watched = agents.map((agent) => watch(agent, closures));
    await setImmediate();
    graph.apply(changes);
    const traits = new EntryTraits(isSuspended);
    for (const [index, { agent, entries, seen }] of watched.entries()) {
      if (index % AGENTS_PER_TURN === 0) await setImmediate();
      const judge = new AgentJudge(graph, entries, traits, clock.now());
      tally.add(judge.judge(agent.groups, seen));
      entries.close();
    }
    closures.close();
  }
  return tally.impact;
}

async function copyOf(present: Iterable<RegistrationEntry>): Promise<EntryGraph> {
  const graph = new EntryGraph();
  let some: EntryChange[] = [];
  for (const after of present) {
    some.push({ before: undefined, after });
    if (some.length < ENTRIES_PER_TURN) continue;
    graph.apply(some);
    some = [];
    await setImmediate();
  }
  graph.apply(some);
  return graph;
}

function watch(agent: ReportedAgent, closures: AgentClosures) {
  const entries = closures.open(agent);
  const seen: EntryChange[] = [];
  entries.watch((some) => seen.push(...some));
  return { agent, entries, seen };
}

/** What one agent's workloads lose and gain, by SPIFFE ID, in workloads; and in all. */
interface AgentImpact {
  readonly lost: ReadonlyMap<string, number>;
  readonly gained: ReadonlyMap<string, number>;
  readonly losing: number;
  readonly gaining: number;
}

class AgentJudge {
  readonly #graph: EntryGraph;
  readonly #entries: AgentEntries;
  readonly #traits: EntryTraits;
  readonly #now: number;

  constructor(graph: EntryGraph, entries: AgentEntries, traits: EntryTraits, now: number) {
    this.#graph = graph;
    this.#entries = entries;
    this.#traits = traits;
    this.#now = now;
  }

  judge(groups: readonly WorkloadGroup[], changes: readonly EntryChange[]): AgentImpact {
    const [lost, gained] = [new Map<string, number>(), new Map<string, number>()];
    let [losing, gaining] = [0, 0];
    for (const [group, touched] of this.#touchedBy(groups, changes)) {
      const had = new Set(touched.flatMap(({ before }) => this.#idOf(before, group) ?? []));
      const gets = new Set(touched.flatMap(({ after }) => this.#idOf(after, group) ?? []));
      const kept = new Set([...had, ...gets].filter((id) => this.#isKept(id, group, touched)));
      const gone = [...had].filter((id) => !gets.has(id) && !kept.has(id));
      const come = [...gets].filter((id) => !had.has(id) && !kept.has(id));
      for (const id of gone) count(lost, id, group.workloads);
      for (const id of come) count(gained, id, group.workloads);
      if (gone.length > 0) losing += group.workloads;
      if (come.length > 0) gaining += group.workloads;
    }
    return { lost, gained, losing, gaining };
  }

  /** Which changes are of entries that a group shows the selectors of, before or after. */
  #touchedBy(
    groups: readonly WorkloadGroup[],
    changes: readonly EntryChange[],
  ): ReadonlyMap<WorkloadGroup, EntryChange[]> {
    const byDigest = new Map<string, WorkloadGroup[]>();
    if (changes.length > 0)
      for (const group of groups)
        for (const digest of group.selectors) {
          const list = byDigest.get(digest);
          if (list === undefined) byDigest.set(digest, [group]);
          else list.push(group);
        }
    const touched = new Map<WorkloadGroup, EntryChange[]>();
    for (const change of changes) {
      const near = new Set(
        [change.before, change.after].flatMap((entry) =>
          entry === undefined ? [] : (byDigest.get(this.#traits.digestsOf(entry)[0] ?? '') ?? []),
        ),
      );
      for (const group of near) touched.set(group, [...(touched.get(group) ?? []), change]);
    }
    return touched;
  }

  #idOf(entry: RegistrationEntry | undefined, group: WorkloadGroup): string | undefined {
    if (entry === undefined || entry.storeSvid || !isCurrent(entry, this.#now)) return undefined;
    if (this.#traits.isSuspended(entry)) return undefined;
    const isMatch = this.#traits.digestsOf(entry).every((digest) => group.selectors.has(digest));
    return isMatch ? entry.spiffeId.toString() : undefined;
  }

  /** By an entry that is as it was. */
  #isKept(id: string, group: WorkloadGroup, touched: readonly EntryChange[]): boolean {
    const path = id.slice(id.indexOf('/', 'spiffe://'.length));
    for (const entry of this.#graph.withPath(path)) {
      if (this.#entries.heldAs(entry.id) !== entry) continue;
      if (touched.some(({ after }) => after === entry)) continue;
      if (this.#idOf(entry, group) !== undefined) return true;
    }
    return false;
  }
}

/** What is asked of entries for each agent again. */
class EntryTraits {
  readonly isSuspended: (entry: RegistrationEntry) => boolean;
  readonly #known = new Map<RegistrationEntry, readonly string[]>();

  constructor(isSuspended: (entry: RegistrationEntry) => boolean) {
    this.isSuspended = isSuspended;
  }

  digestsOf(entry: RegistrationEntry): readonly string[] {
    const known = this.#known.get(entry);
    if (known !== undefined) return known;
    const digests = entry.selectors.map((selector) => selectorDigest(formatSelector(selector)));
    this.#known.set(entry, digests);
    return digests;
  }
}

class Tally {
  readonly #byId = new Map<string, { losing: Touched; gaining: Touched }>();
  #losing = nobody;
  #gaining = nobody;

  add({ lost, gained, losing, gaining }: AgentImpact): void {
    this.#losing = plus(this.#losing, losing);
    this.#gaining = plus(this.#gaining, gaining);
    for (const [id, workloads] of lost) {
      const one = this.#at(id);
      one.losing = plus(one.losing, workloads);
    }
    for (const [id, workloads] of gained) {
      const one = this.#at(id);
      one.gaining = plus(one.gaining, workloads);
    }
  }

  get impact(): Impact {
    const identities = Array.from(this.#byId, ([spiffeId, one]) => ({ spiffeId, ...one }));
    const weight = ({ losing, gaining }: IdentityImpact) => losing.workloads + gaining.workloads;
    identities.sort((a, b) => weight(b) - weight(a) || (a.spiffeId < b.spiffeId ? -1 : 1));
    return { losing: this.#losing, gaining: this.#gaining, identities };
  }

  #at(id: string): { losing: Touched; gaining: Touched } {
    const known = this.#byId.get(id) ?? { losing: nobody, gaining: nobody };
    this.#byId.set(id, known);
    return known;
  }
}

function plus(touched: Touched, workloads: number): Touched {
  if (workloads === 0) return touched;
  return { workloads: touched.workloads + workloads, agents: touched.agents + 1 };
}

function count(counts: Map<string, number>, id: string, workloads: number): void {
  counts.set(id, (counts.get(id) ?? 0) + workloads);
}
