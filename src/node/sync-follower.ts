import type { Tracing } from '../ops/index.ts';
import {
  type AgentFacts,
  type Clock,
  type PolicyTaker,
  TrustplaneError,
  type WorkloadGroup,
} from '../spiffe/index.ts';
import {
  buildSyncRequest,
  type Laggard,
  MAX_CAUSES,
  type Position,
  parsePart,
  type SyncReplica,
  type WireSyncResponse,
} from '../sync/index.ts';
import type { ServerLink, ServerStream } from './server-link.ts';

/** Who is served by this agent has this bundle; save those who are not waited for. */
export interface Confirmation {
  /** As `bundleDigest` makes it. */
  readonly bundleDigest: string;
  readonly laggards: readonly Laggard[];
}

/** The workloads of this host by what they show; `isPartial`: there are more. */
export interface ReportedWorkloads {
  readonly groups: readonly WorkloadGroup[];
  readonly isPartial: boolean;
}

/** A server that says nothing at all for this long is none to follow. */
const FIRST_WORD_MS = 10_000;
const MAX_ID_CHARS = 255;

export interface SyncFollowerOptions {
  readonly clock: Clock;
  readonly replica: SyncReplica;
  readonly onFacts: (facts: AgentFacts, position: Position) => void;
  /** Default: nothing is traced. */
  readonly tracing?: Pick<Tracing, 'note'> | undefined;
}

/** The agent's end of the stream on which a server tells it what changes; one at a time. */
export class SyncFollower {
  readonly #options: SyncFollowerOptions;
  #stream: ServerStream<WireSyncResponse> | undefined;
  /** The server knows what the agent stands at. */
  #isCurrent = false;
  #confirmation: Confirmation | undefined;
  #takers: readonly PolicyTaker[] | undefined;
  #workloads: ReportedWorkloads | undefined;
  /** The server wants to be told of them. */
  #takesWorkloads = false;
  #isLeaving = false;

  constructor(options: SyncFollowerOptions) {
    this.#options = options;
  }

  /**
   * Follows until `leave`.
   * @throws as `ServerLink.call`; ERR_SYNC_*; ERR_NODE_UNREACHABLE when the server ends the stream
   */
  async follow(link: ServerLink): Promise<void> {
    const stream = link.stream<WireSyncResponse>('Sync.Sync');
    this.#stream = stream;
    this.#isCurrent = false;
    this.#takesWorkloads = false;
    this.#isLeaving = false;
    const timer = this.#options.clock.setTimer(FIRST_WORD_MS, () => stream.cancel());
    try {
      await this.#read(stream, () => timer.cancel());
      throw new TrustplaneError('ERR_NODE_UNREACHABLE', `${link.name}: it ended its stream`);
    } catch (error) {
      if (!this.#isLeaving) throw error;
    } finally {
      timer.cancel();
      stream.cancel();
      this.#stream = undefined;
    }
  }

  /** Ends the stream. */
  leave(): void {
    this.#isLeaving = true;
    this.#stream?.cancel();
  }

  /** Tells the server now, and again on each later stream. */
  confirm(confirmation: Confirmation): void {
    this.#confirmation = confirmation;
    this.#tellConfirmation();
  }

  /** Says who has which policies in force; now, and again on each later stream. */
  sayTakers(takers: readonly PolicyTaker[]): void {
    this.#takers = takers;
    this.#tellTakers();
  }

  /** Says which workloads are served; now, and again on each later stream. */
  sayWorkloads(workloads: ReportedWorkloads): void {
    this.#workloads = workloads;
    this.#tellWorkloads();
  }

  async #read(stream: ServerStream<WireSyncResponse>, onWord: () => void): Promise<void> {
    const { replica, onFacts } = this.#options;
    const session = replica.connect();
    stream.send(buildSyncRequest(session.hello));
    for (;;) {
      const message = await stream.read();
      if (message === undefined) return;
      onWord();
      this.#noteCauses(message);
      this.#takesWorkloads ||= message.takes_workloads ?? false;
      const receipt = session.receive(parsePart(message));
      if (receipt.kind === 'applied') onFacts(receipt.facts, receipt.position);
      if ('reply' in receipt) stream.send(buildSyncRequest(receipt.reply));
      if (receipt.kind !== 'applied' || this.#isCurrent) continue;
      this.#isCurrent = true;
      this.#tellConfirmation();
      this.#tellTakers();
      this.#tellWorkloads();
    }
  }

  #tellWorkloads(): void {
    if (this.#workloads === undefined || !this.#isCurrent || !this.#takesWorkloads) return;
    this.#stream?.send(buildSyncRequest({ kind: 'workloads', ...this.#workloads }));
  }

  #noteCauses({ causes = [] }: WireSyncResponse): void {
    const { tracing } = this.#options;
    if (tracing === undefined) return;
    for (const { entry_id = '', traceparent = '' } of causes.slice(0, MAX_CAUSES)) {
      if (entry_id.length <= MAX_ID_CHARS) tracing.note(entry_id, traceparent);
    }
  }

  #tellTakers(): void {
    if (this.#takers === undefined || !this.#isCurrent) return;
    this.#stream?.send(buildSyncRequest({ kind: 'policies', takers: this.#takers }));
  }

  #tellConfirmation(): void {
    if (this.#confirmation === undefined || !this.#isCurrent) return;
    this.#stream?.send(buildSyncRequest({ kind: 'confirmed', ...this.#confirmation }));
  }
}
