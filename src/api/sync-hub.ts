import type { AgentChange, AgentRegistry } from '../agents/index.ts';
import type { Metrics } from '../ops/index.ts';
import {
  type Clock,
  type SpiffeId,
  type TrustMap,
  type TrustMapSource,
  TrustplaneError,
} from '../spiffe/index.ts';
import {
  type ItemKey,
  type Position,
  SyncPublisher,
  type SyncRequest,
  type SyncUpdate,
} from '../sync/index.ts';
import { Absentees } from './absentees.ts';
import type { AgentEntitlements } from './agent-entitlements.ts';
import { AgentSyncView } from './agent-sync-view.ts';
import {
  type CrlSource,
  type PolicySource,
  type RevocationSource,
  SharedFacts,
} from './shared-facts.ts';
import type { StoreCursor } from './store-cursor.ts';
import { SyncMetrics } from './sync-metrics.ts';

export interface SyncHubOptions {
  readonly agents: Pick<AgentRegistry, 'watch'>;
  readonly entitlements: Pick<AgentEntitlements, 'of'>;
  readonly trustMap: TrustMapSource;
  readonly revocations: RevocationSource;
  /** Default: there are none. */
  readonly policies?: PolicySource;
  /** Default: there are none. */
  readonly crls?: CrlSource;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Of this life of the server: 1 to 64 of `A-Z a-z 0-9 _ -`. */
  readonly epoch: string;
  /** How much of the store is known to all that is given here; without one there is no other server. */
  readonly cursor?: StoreCursor;
}

/** What of an agent's first message decides what it is told. */
export type AgentHello = Pick<
  Extract<SyncRequest, { kind: 'hello' }>,
  'resume' | 'takesTerms' | 'takesPolicies' | 'takesCrls'
>;

/** The end of an agent's stream that the hub talks to. */
export interface SyncStream {
  /** There may be something to send: the agent is to be judged again, and `take` to be called. */
  wake(): void;
  /** The stream is over for the hub. */
  end(reason: TrustplaneError): void;
}

/** One stream's share of what the hub keeps for its agent. */
export interface SyncLink {
  /** What is to be sent now, if anything. */
  take(): SyncUpdate | undefined;
  /** The agent came to the end of an update; false when that is none in flight. @throws TrustplaneError ERR_SYNC_REFUSED */
  acknowledge(revision: number, digest: string): boolean;
  /** The stream is over. */
  close(): void;
}

/** How far an agent is told. */
export interface SyncStanding {
  /** `epoch:revision` of what was sent last, and of what the agent has acknowledged; empty: nothing. */
  readonly sentRevision: string;
  readonly heldRevision: string;
  /** Something has changed that was not sent yet. */
  readonly hasBacklog: boolean;
}

/** What is kept for an agent that syncs, or did a while ago. */
interface Peer {
  readonly id: SpiffeId;
  readonly view: AgentSyncView;
  readonly publisher: SyncPublisher;
  readonly stopWatching: () => void;
  stream: SyncStream | undefined;
  /** Since when something has not been sent; milliseconds. */
  staleSince: number | undefined;
  /** The same of what is in flight. */
  sentSince: number | undefined;
}

const LONG_EXPIRED_MS = 86_400_000;

export const hubLimits = {
  /** How long an agent that left may come back to where it was. */
  retentionMs: 300_000,
  /** How many agents that left are remembered, and for each how many changes. */
  absent: 20_000,
  backlog: 256,
  /** Streams that are woken before other work has its turn. */
  wakesPerTurn: 250,
} as const;

/** Knows all agents that sync, and brings them what changes: of one turn of the event loop together. */
export class SyncHub {
  readonly #options: SyncHubOptions;
  readonly #metrics: SyncMetrics;
  readonly #peers = new Map<string, Peer>();
  readonly #absentees: Absentees<Peer>;
  readonly #shared: SharedFacts;
  readonly #due = new Set<Peer>();
  readonly #stops: (() => void)[];
  #revision = 0;
  #isFlushing = false;

  constructor(options: SyncHubOptions) {
    this.#options = options;
    this.#metrics = new SyncMetrics(options.metrics);
    const { agents, trustMap, revocations, policies, crls, clock } = options;
    this.#shared = new SharedFacts(
      trustMap,
      withoutLongExpired(revocations, clock),
      policies,
      crls,
    );
    this.#absentees = new Absentees({
      retentionMs: hubLimits.retentionMs,
      limit: hubLimits.absent,
      clock,
      onForgotten: (peer) => this.#drop(peer),
    });
    this.#stops = [
      agents.watch((change) => this.#followAgent(change)),
      trustMap.watch((trust) => this.#followTrust(trust)),
      revocations.watch(() => this.#followRevocations()),
      policies?.watch(() => this.#followPolicies()) ?? (() => {}),
      crls?.watch(() => this.#followCrls()) ?? (() => {}),
    ];
  }

  /**
   * Resolves when all is known here that an agent knows which stands at `resume`, from whichever server.
   * @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_*
   */
  async catchUp(resume: Position | undefined): Promise<void> {
    if (resume?.cursor !== undefined) await this.#options.cursor?.catchUp(resume.cursor);
  }

  /** How an agent's stream stands. */
  standing(id: SpiffeId): SyncStanding {
    const peer = this.#peers.get(id.path);
    const { sent, held } = peer?.publisher ?? {};
    return {
      sentRevision: sent === undefined ? '' : `${sent.epoch}:${sent.revision}`,
      heldRevision: held === undefined ? '' : `${held.epoch}:${held.revision}`,
      hasBacklog: peer?.staleSince !== undefined,
    };
  }

  /** Every stream is judged again, and ends where its agent cannot be. */
  doubt(): void {
    for (const peer of this.#peers.values()) this.#wake(peer);
  }

  /**
   * An agent begins a stream and stands at `resume`; the stream it had before ends. `takesTerms`: it
   * keeps to the terms of federated trust domains; `takesPolicies`, `takesCrls`: it is told of those.
   * @throws TrustplaneError ERR_AGENT_NOT_ATTESTED
   */
  connect(id: SpiffeId, hello: AgentHello, stream: SyncStream): SyncLink {
    const { resume } = hello;
    const peer = this.#peerFor(id, hello);
    const former = peer.stream;
    this.#absentees.delete(peer);
    peer.stream = stream;
    peer.publisher.resume(resume);
    former?.end(replaced(id));
    peer.staleSince ??= this.#options.clock.now();
    this.#metrics.streams.inc();
    return {
      take: () => (peer.stream === stream ? this.#take(peer) : undefined),
      acknowledge: (revision, digest) =>
        peer.stream === stream && this.#acknowledge(peer, revision, digest),
      close: () => this.#leave(peer, stream),
    };
  }

  /** Ends every stream. */
  close(): void {
    for (const stop of this.#stops) stop();
    const reason = new TrustplaneError('ERR_SHUTTING_DOWN', 'the server is shutting down');
    for (const peer of this.#peers.values()) this.#drop(peer, reason);
    this.#absentees.close();
  }

  /** An agent of another release, or set up otherwise, is to know other things: it begins anew. */
  #peerFor(id: SpiffeId, hello: AgentHello): Peer {
    const { takesTerms, takesPolicies = false, takesCrls = false } = hello;
    const known = this.#peers.get(id.path);
    if (known !== undefined) {
      const { view } = known;
      const isSame = view.takesTerms === takesTerms && view.takesPolicies === takesPolicies;
      if (isSame && view.takesCrls === takesCrls) return known;
      this.#drop(known, replaced(id));
    }
    return this.#open(id, hello);
  }

  #open(id: SpiffeId, hello: AgentHello): Peer {
    const entries = this.#options.entitlements.of(id);
    if (entries === undefined) throw notAttested(id);
    const { epoch, cursor } = this.#options;
    const view = new AgentSyncView(entries, this.#shared, hello);
    const nextRevision = (): number => ++this.#revision;
    const peer: Peer = {
      id,
      view,
      publisher: new SyncPublisher({
        view,
        epoch,
        nextRevision,
        ...(cursor && { cursor: () => cursor.current() }),
      }),
      stopWatching: entries.watch((changes) => this.#mark(peer, view.changeEntries(changes))),
      stream: undefined,
      staleSince: undefined,
      sentSince: undefined,
    };
    this.#peers.set(id.path, peer);
    return peer;
  }

  #take(peer: Peer): SyncUpdate | undefined {
    const update = peer.publisher.next();
    if (update === undefined) return undefined;
    this.#metrics.countUpdate(update);
    peer.sentSince = peer.staleSince;
    peer.staleSince = undefined;
    return update;
  }

  #acknowledge(peer: Peer, revision: number, digest: string): boolean {
    const outcome = peer.publisher.acknowledge(revision, digest);
    if (outcome === 'stale') return false;
    if (outcome === 'refused') {
      this.#metrics.refused.inc();
      peer.staleSince = peer.sentSince ?? peer.staleSince;
    } else if (peer.sentSince !== undefined) {
      this.#metrics.lag.observe((this.#options.clock.now() - peer.sentSince) / 1000);
    }
    this.#wake(peer);
    return true;
  }

  #leave(peer: Peer, stream: SyncStream): void {
    this.#metrics.streams.dec();
    if (peer.stream !== stream) return;
    peer.stream = undefined;
    if (this.#peers.get(peer.id.path) === peer) this.#absentees.add(peer);
  }

  #drop(peer: Peer, reason: TrustplaneError = notAttested(peer.id)): void {
    this.#absentees.delete(peer);
    this.#due.delete(peer);
    peer.stopWatching();
    if (this.#peers.get(peer.id.path) === peer) this.#peers.delete(peer.id.path);
    peer.stream?.end(reason);
  }

  #mark(peer: Peer, keys: ReadonlySet<ItemKey>): void {
    if (keys.size === 0) return;
    peer.publisher.change(keys);
    peer.staleSince ??= this.#options.clock.now();
    if (peer.stream !== undefined) this.#wake(peer);
    else if (peer.publisher.backlog > hubLimits.backlog) this.#drop(peer);
  }

  #followAgent({ id, agent }: AgentChange): void {
    const peer = this.#peers.get(id.path);
    if (peer === undefined) return;
    // Judged again at once: its stream may be one of an SVID that is no longer good.
    if (agent !== undefined && !agent.banned) this.#wake(peer);
    else if (agent === undefined) this.#drop(peer);
    else this.#drop(peer, banned(id));
  }

  #followTrust(trust: TrustMap): void {
    const changes = this.#shared.takeTrust(trust);
    if (changes.length === 0) return;
    for (const peer of this.#peers.values()) {
      this.#mark(peer, peer.view.changeTrust(changes));
    }
  }

  #followRevocations(): void {
    const keys = this.#shared.takeRevocations();
    for (const peer of this.#peers.values()) this.#mark(peer, keys);
  }

  #followPolicies(): void {
    const keys = this.#shared.takePolicies();
    for (const peer of this.#peers.values()) {
      if (peer.view.takesPolicies) this.#mark(peer, keys);
    }
  }

  #followCrls(): void {
    const keys = this.#shared.takeCrls();
    for (const peer of this.#peers.values()) if (peer.view.takesCrls) this.#mark(peer, keys);
  }

  #wake(peer: Peer): void {
    this.#due.add(peer);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    let left: number = hubLimits.wakesPerTurn;
    for (const peer of this.#due) {
      if (left-- === 0) break;
      this.#due.delete(peer);
      peer.stream?.wake();
    }
    this.#isFlushing = this.#due.size > 0;
    if (this.#isFlushing) setImmediate(() => this.#flush());
  }
}

function notAttested(id: SpiffeId): TrustplaneError {
  const message = `agent ${id.toString()} is not attested`;
  return new TrustplaneError('ERR_AGENT_NOT_ATTESTED', message);
}

function replaced(id: SpiffeId): TrustplaneError {
  return new TrustplaneError('ERR_SYNC_REPLACED', `agent ${id.toString()} opened another stream`);
}

function banned(id: SpiffeId): TrustplaneError {
  return new TrustplaneError('ERR_AGENT_BANNED', `agent ${id.toString()} is banned`);
}

/** What refuses nobody any more needs no telling, by a clock that is ahead by less than a day too. */
function withoutLongExpired(
  revocations: Pick<RevocationSource, 'list'>,
  clock: Pick<Clock, 'now'>,
): Pick<RevocationSource, 'list'> {
  return {
    list() {
      const from = clock.now() - LONG_EXPIRED_MS;
      return revocations.list().filter(({ expiresAt }) => expiresAt > from);
    },
  };
}
