import type { Log, Metrics, Tracing } from '../ops/index.ts';
import type {
  AgentFacts,
  Clock,
  PolicyTaker,
  SpiffeId,
  TrustDomain,
  TrustMapSource,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { Position } from '../sync/index.ts';
import type { TlsIdentity } from '../wire/index.ts';
import { askServer, type ServerAnswer, type ServerQuestion } from './ask-server.ts';
import type { NodeAttestation } from './attest-node.ts';
import type { Bootstrap } from './bootstrap.ts';
import { FactsFeed } from './facts-feed.ts';
import { Membership } from './membership.ts';
import { NodeFacts } from './node-facts.ts';
import type { NodeIdentity } from './node-identity.ts';
import { createNodeMetrics } from './node-metrics.ts';
import { createRemoteIssuer, type RemoteIssuer } from './remote-issuer.ts';
import type { ServerAddress } from './server-link.ts';
import type { Confirmation, ReportedWorkloads } from './sync-follower.ts';

/** What an agent had when it ended, as far as it could be kept. */
export interface RestoredNode {
  readonly identity?: NodeIdentity | undefined;
  readonly facts?: AgentFacts | undefined;
  /** Where the facts stand, when they were pushed. */
  readonly position?: Position | undefined;
}

export interface NodeOptions {
  /** What the agent says of itself. */
  readonly agentVersion: string;
  readonly trustDomain: TrustDomain;
  /** The servers are to tell of the policies; asked for each stream. Default: they are not. */
  readonly takesPolicies?: (() => boolean) | undefined;
  /** They are to tell of CRLs. Default: they are not. */
  readonly takesCrls?: boolean | undefined;
  /** At least one. */
  readonly servers: readonly ServerAddress[];
  /** How a first server is told from others; undefined when that cannot happen. */
  readonly bootstrap: Bootstrap | undefined;
  /** How this node proves what it is; undefined when it cannot. */
  readonly attestation: NodeAttestation | undefined;
  /** How it proves that an SVID that has expired was its own. */
  readonly lastKey?: (svid: TlsIdentity) => NodeAttestation;
  /** What it had before it was started again. */
  readonly restored?: RestoredNode | undefined;
  /** Resolves when the identity is where it outlives the process, and rejects when that failed; before it is used. */
  readonly saveIdentity?: (identity: NodeIdentity) => Promise<void>;
  /** After each change. */
  readonly saveFacts?: (facts: AgentFacts, position: Position | undefined) => void;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Default: nothing is traced. */
  readonly tracing?: Pick<Tracing, 'note'> | undefined;
}

/** How this host stands with its servers. */
export interface NodeStatus {
  readonly agentId: SpiffeId | undefined;
  /** Its SVID, leaf first (DER); empty while it has none. */
  readonly certificateChain: readonly Uint8Array[];
  /** Of the agent's SVID, milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
  /** Its last SVID has ended: when, and of which ID. */
  readonly lapsed: { readonly agentId: SpiffeId; readonly at: number } | undefined;
  /** `host:port` */
  readonly server: string | undefined;
  /** The server tells what changes; else it is asked. */
  readonly isTold: boolean;
  readonly entries: number;
  /** When a server last told what there is, milliseconds since the epoch. */
  readonly updatedAt: number | undefined;
  /** What is wrong with the clocks of this host and its server, if anything. */
  readonly clockFault: string | undefined;
  /** What is wrong, if anything. */
  readonly faults: readonly TrustplaneError[];
}

/** A host of the trust domain, and all it knows. */
export interface Node {
  /** Live facts; `isComplete` is false until a server has told all of them in this process. */
  readonly facts: Pick<NodeFacts, 'facts' | 'isComplete' | 'watchAll'>;
  readonly trust: TrustMapSource;
  readonly issuer: Pick<RemoteIssuer, 'issue'>;
  readonly jwtIssuer: { issue: RemoteIssuer['issueJwt'] };
  /** Resolves when it has an SVID and facts, of a server or of before. @throws TrustplaneError when a server refuses it for good at the very beginning */
  readonly ready: Promise<void>;
  /** Resolves when a server has told everything, or none could be asked, for the first time. */
  readonly asked: Promise<void>;
  status(): NodeStatus;
  /** The agent's own SVID now; a new object for each. */
  identity(): NodeIdentity | undefined;
  /** What a server says of entries that this agent may have. @throws TrustplaneError ERR_REMOTE_UNIMPLEMENTED, … as calls do */
  askWhy(question: ServerQuestion): Promise<ServerAnswer>;
  /** At least one; from now on. */
  setServers(servers: readonly ServerAddress[]): void;
  /** Tells the servers what those who are served by this agent have. */
  confirm(confirmation: Confirmation): void;
  /** Tells the servers who on this host has which policies in force. */
  sayTakers(takers: readonly PolicyTaker[]): void;
  /** Tells the servers which workloads this host serves. */
  sayWorkloads(workloads: ReportedWorkloads): void;
  start(): void;
  close(): Promise<void>;
}

/** Does nothing before `start`; then it joins the trust domain and stays in it until `close`. */
export function openNode(options: NodeOptions): Node {
  const { trustDomain, restored = {}, saveIdentity, saveFacts } = options;
  const metrics = createNodeMetrics(options.metrics);
  const facts = new NodeFacts(trustDomain, restored.facts);
  const membership = new Membership({
    ...options,
    facts,
    restored: restored.identity,
    async onIdentity(identity) {
      // Worth nothing without the bundle that servers are told by.
      if (!facts.isComplete && facts.facts !== restored.facts) saveFacts?.(facts.facts, undefined);
      await saveIdentity?.(identity);
    },
    onRenewed: () => feed.renew(),
    onBanned() {
      facts.set({ ...facts.facts, entries: new Map() });
      saveFacts?.(facts.facts, undefined);
    },
    metrics,
  });
  const feed = new FactsFeed({
    ...options,
    membership,
    facts,
    restored: pushed(restored),
    onFacts: (next, position) => saveFacts?.(next, position),
    metrics,
  });
  const issuer = createRemoteIssuer((work) => membership.use(work));
  const isRestored = restored.facts !== undefined && membership.identity !== undefined;
  let running: Promise<unknown> = Promise.resolve();
  const ready = membership.joined.then(() => (isRestored ? undefined : feed.synced));
  // Nobody waits for a node whose process failed before it was started.
  ready.catch(() => {});
  return {
    facts,
    trust: facts,
    issuer,
    jwtIssuer: { issue: (request) => issuer.issueJwt(request) },
    ready,
    asked: feed.asked,
    status() {
      const { identity } = membership;
      const faults = [membership.fault, feed.fault].filter((fault) => fault !== undefined);
      return {
        agentId: identity?.agentId,
        certificateChain: identity?.certificateChain ?? [],
        expiresAt: identity?.expiresAt,
        lapsed: membership.lapsed,
        server: membership.server,
        isTold: feed.isTold,
        entries: facts.facts.entries.size,
        updatedAt: feed.updatedAt,
        clockFault: membership.clockFault,
        faults,
      };
    },
    identity: () => membership.identity,
    askWhy: (question) => membership.use((link) => askServer(link, question, options)),
    setServers(servers) {
      membership.setServers(servers);
      feed.renew();
    },
    confirm: (confirmation) => feed.confirm(confirmation),
    sayTakers: (takers) => feed.sayTakers(takers),
    sayWorkloads: (workloads) => feed.sayWorkloads(workloads),
    start() {
      running = Promise.all([membership.run(), feed.run()]);
    },
    async close() {
      feed.close();
      membership.close();
      await running;
    },
  };
}

function pushed({ facts, position }: RestoredNode) {
  return facts && position && { facts, position };
}
