import { setImmediate } from 'node:timers/promises';
import type { ExplainRequest } from '../api/index.ts';
import {
  type AttestableProcess,
  type AttestorReport,
  findContainerProcesses,
  findProcess,
} from '../attest/index.ts';
import {
  type AgentStanding,
  type EntryFacts,
  type Explanation,
  explain,
  explainUnknown,
  type KnownEntry,
  NearestEntries,
  type ProcessFacts,
  type ServerWord,
  type SvidStanding,
  toEntryFacts,
} from '../explain/index.ts';
import {
  type Clock,
  formatSelector,
  parseSelector,
  type RegistrationEntry,
  SelectorSet,
  SpiffeId,
  type StreamReport,
  type TrustDomain,
  type TrustMapSource,
} from '../spiffe/index.ts';
import type { RevocationSource } from '../svid/index.ts';
import { type PeerProcess, peersWithPid } from '../wire/index.ts';
import type { OpenStreams } from './open-streams.ts';

/** Processes of one container or Envoy that are explained. */
const MAX_PROCESSES = 8;
const NEAREST = 16;
const ENTRIES_PER_TURN = 500;
const MAX_NAMES = 20;

/** What those tell that the agent has its entries from. */
export interface ExplainSources {
  standing(): AgentStanding;
  /** Those the agent may serve, as it knows them. */
  entries(): Iterable<RegistrationEntry>;
  /** Settles within some seconds. */
  ask(
    selectors: readonly string[] | undefined,
    spiffeId: SpiffeId | undefined,
  ): Promise<ServerSide>;
}

export interface ServerSide {
  readonly word: ServerWord;
  readonly entries: readonly KnownEntry[];
  /** As the server has it. */
  readonly agent?: Pick<AgentStanding, 'suspension'>;
}

export interface AgentExplainOptions {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly sources: ExplainSources;
  readonly report: (process: AttestableProcess) => Promise<readonly AttestorReport[]>;
  readonly svids: { standing(entryId: string): SvidStanding | undefined };
  readonly trust: Pick<TrustMapSource, 'current'>;
  readonly match: (selectors: SelectorSet) => readonly RegistrationEntry[];
  readonly revocations: Pick<RevocationSource, 'find'> | undefined;
  readonly streams: Pick<OpenStreams, 'find'>;
  /** Names of secrets that are not SPIFFE IDs; that of all bundles last. */
  readonly secretNames: readonly string[];
  /** Default: those of this machine. */
  readonly processes?: LocalProcesses;
}

/** Which processes there are. */
export interface LocalProcesses {
  find(pid: number): AttestableProcess | undefined;
  inContainer(id: string, limit: number): Promise<readonly number[]>;
  /** Those with connections to the agent. */
  connected(pid: number): readonly PeerProcess[];
}

const machine: LocalProcesses = {
  find: findProcess,
  inContainer: findContainerProcesses,
  connected: peersWithPid,
};

/** Collects what this agent, and its server, know about a question, and has it explained. */
export class AgentExplain {
  readonly #options: AgentExplainOptions;
  readonly #processes: LocalProcesses;

  constructor(options: AgentExplainOptions) {
    this.#options = options;
    this.#processes = options.processes ?? machine;
  }

  async explain(request: ExplainRequest): Promise<readonly Explanation[]> {
    const { containerId, envoyNodeId, spiffeId } = request;
    const pids = await this.#pidsOf(request);
    if (pids.length === 0 && containerId !== undefined)
      return [explainUnknown('container-unknown', containerId)];
    if (pids.length === 0 && envoyNodeId !== undefined)
      return [explainUnknown('envoy-unknown', envoyNodeId)];
    if (pids.length === 0) return [await this.#explainOne(undefined, request)];
    const found: Explanation[] = [];
    for (const pid of pids) found.push(await this.#explainOne(pid, { ...request, spiffeId }));
    return found;
  }

  async #pidsOf({ pids, containerId, envoyNodeId }: ExplainRequest): Promise<readonly number[]> {
    if (containerId !== undefined)
      return await this.#processes.inContainer(containerId, MAX_PROCESSES);
    if (envoyNodeId === undefined) return [...new Set(pids)];
    const streams = this.#options.streams.find(({ node }) => node === envoyNodeId);
    const open = streams.filter(({ ended }) => ended === undefined);
    return [...new Set(open.map(({ pid }) => pid))].slice(0, MAX_PROCESSES);
  }

  async #explainOne(pid: number | undefined, request: ExplainRequest): Promise<Explanation> {
    const { clock, trustDomain, trust, secretNames } = this.#options;
    const { spiffeId, resourceName, envoyNodeId } = request;
    const streams = pid === undefined ? [] : this.#options.streams.find((one) => one.pid === pid);
    const process = pid === undefined ? undefined : await this.#attest(pid, streams);
    const selectors = process?.reports.flatMap((report) => report.selectors);
    const shown = selectors && [...new Set(selectors)].sort();
    const wanted = spiffeId ?? idOf(resourceName);
    const side = await this.#options.sources.ask(shown, wanted);
    const standing = this.#options.sources.standing();
    return explain({
      now: clock.now(),
      question: { place: 'agent', spiffeId: spiffeId?.toString(), resourceName },
      subject: subjectOf(pid, request),
      process,
      selectors: shown,
      agent: { ...standing, suspension: standing.suspension ?? side.agent?.suspension },
      server: side.word,
      entries: await this.#entries(shown, wanted, side, namesOf(streams)),
      streams: streams.filter(({ node }) => envoyNodeId === undefined || node === envoyNodeId),
      ownTrustDomain: trustDomain.name,
      bundles: new Set(trust.current().federated.keys()),
      secretNames,
    });
  }

  async #attest(pid: number, streams: readonly StreamReport[]): Promise<ProcessFacts> {
    const at = this.#options.clock.now();
    const present = this.#processes.find(pid);
    const connected = this.#processes.connected(pid);
    // As it connected, which is as it is served.
    const same = connected.find(({ startTime }) => startTime === present?.startTime) ?? present;
    const open = streams.filter(({ ended }) => ended === undefined);
    return {
      pid,
      present: present && { uid: present.uid, gid: present.gid },
      wasReplaced:
        present !== undefined && open.some(({ startTime }) => startTime !== present.startTime),
      reports: same === undefined ? [] : (await this.#options.report(same)).map(attestorFacts),
      at,
    };
  }

  /** What the agent has, and what the server says beyond that. */
  async #entries(
    shown: readonly string[] | undefined,
    wanted: SpiffeId | undefined,
    { entries: told }: ServerSide,
    names: ReadonlySet<string>,
  ): Promise<readonly EntryFacts[]> {
    const { sources } = this.#options;
    const own = await this.#nearest(shown, wanted, names);
    const { isLocal } = sources.standing();
    const byId = new Map<string, EntryFacts>();
    for (const entry of own.found) {
      byId.set(
        entry.id,
        this.#facts(
          { entry, chain: undefined, gone: undefined, suspension: undefined },
          shown,
          true,
        ),
      );
    }
    for (const known of told) {
      const here = own.revisions.get(known.entry.id);
      const isHere = isLocal || known.gone !== undefined || here === known.entry.revisionNumber;
      byId.set(known.entry.id, this.#facts(known, shown, isHere));
    }
    return [...byId.values()];
  }

  /** Of the agent's own entries; a few hundred at a turn. */
  async #nearest(
    shown: readonly string[] | undefined,
    wanted: SpiffeId | undefined,
    names: ReadonlySet<string>,
  ): Promise<{ found: readonly RegistrationEntry[]; revisions: ReadonlyMap<string, number> }> {
    const nearest = new NearestEntries(shown ?? [], NEAREST);
    const revisions = new Map<string, number>();
    const named: RegistrationEntry[] = [];
    let count = 0;
    for (const entry of this.#options.sources.entries()) {
      if (++count % ENTRIES_PER_TURN === 0) await setImmediate();
      revisions.set(entry.id, entry.revisionNumber);
      if (names.has(entry.spiffeId.toString()) && named.length < NEAREST) named.push(entry);
      if (wanted === undefined) nearest.consider(entry);
      else if (entry.spiffeId.equals(wanted)) nearest.consider(entry, true);
    }
    const near = nearest.best.map(({ entry }) => entry);
    return { found: [...near, ...named, ...this.#matching(shown)], revisions };
  }

  /** What the process has, whatever it asks for. */
  #matching(shown: readonly string[] | undefined): readonly RegistrationEntry[] {
    if (shown === undefined) return [];
    return this.#options.match(SelectorSet.of(shown.map(parseSelector))).slice(0, NEAREST);
  }

  #facts(known: KnownEntry, shown: readonly string[] | undefined, isHere: boolean): EntryFacts {
    const { svids, revocations } = this.#options;
    const { entry } = known;
    const { spiffeId, id } = entry;
    // Whatever was issued before.
    const revocation = revocations?.find({ spiffeId, entryId: id, issuedAt: 0 });
    return {
      ...toEntryFacts(known, shown),
      isHere,
      revocation: revocation && {
        issuedBefore: revocation.issuedBefore,
        reason: revocation.reason,
      },
      svid: svids.standing(id),
    };
  }
}

/** What streams ask for and do not have. */
function namesOf(streams: readonly StreamReport[]): ReadonlySet<string> {
  const waiting = streams
    .flatMap(({ resources }) => resources)
    .filter(({ state, type }) => state === 'waiting' && type === 'Secret');
  return new Set(waiting.slice(0, MAX_NAMES).map(({ name }) => name));
}

/** Undefined for what is no SPIFFE ID of a workload. */
function idOf(name: string | undefined): SpiffeId | undefined {
  try {
    const id = SpiffeId.parse(name ?? '');
    return id.isTrustDomainId ? undefined : id;
  } catch {
    return undefined;
  }
}

function attestorFacts({ selectors, ...report }: AttestorReport) {
  return { ...report, selectors: selectors.map(formatSelector) };
}

function subjectOf(pid: number | undefined, request: ExplainRequest): string {
  const { containerId, envoyNodeId, resourceName, spiffeId } = request;
  const what = spiffeId?.toString() ?? resourceName;
  const of = [
    ...(pid === undefined ? [] : [`process ${pid}`]),
    ...(containerId === undefined ? [] : [`container ${containerId}`]),
    ...(envoyNodeId === undefined ? [] : [`Envoy ${envoyNodeId}`]),
  ].join(' of ');
  if (what === undefined) return of;
  return of === '' ? what : `${what} for ${of}`;
}
