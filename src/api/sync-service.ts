import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { AgentRegistry } from '../agents/index.ts';
import type { Tracing } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type PolicyTaker,
  type SpiffeId,
  type Timer,
  TrustplaneError,
  type WorkloadGroup,
} from '../spiffe/index.ts';
import {
  buildParts,
  type Laggard,
  parseSyncRequest,
  type SyncRequest,
  type WireSyncRequest,
  type WireSyncResponse,
} from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import type { Authorization } from './authorization.ts';
import { MessageReader } from './message-reader.ts';
import type { SyncHub, SyncLink } from './sync-hub.ts';
import { UpdateSpans } from './update-spans.ts';
import { writePaced } from './write-paced.ts';

/** Where it is noted which agents sync, and what they have. */
export interface ConfirmationSink {
  /** For each stream; `onDisconnected` follows for each, also when another takes its place. */
  onConnected(agentId: SpiffeId): void;
  /** All that the agent serves have the own bundle with this digest (`bundleDigest`), save the laggards. */
  onConfirmed(agentId: SpiffeId, bundleDigest: string, laggards: readonly Laggard[]): void;
  onDisconnected(agentId: SpiffeId): void;
}

/** Where it is noted which agents take policies, and what they have in force. */
export interface PolicyTakerSink {
  /** For each stream; `onDisconnected` follows for each, also when another takes its place. */
  onConnected(agentId: SpiffeId): void;
  onTakers(agentId: SpiffeId, takers: readonly PolicyTaker[]): void;
  onDisconnected(agentId: SpiffeId): void;
}

/** Where it is noted which workloads agents serve. */
export interface WorkloadSink {
  /** For each stream; `onDisconnected` follows for each. */
  onConnected(agentId: SpiffeId): void;
  onWorkloads(agentId: SpiffeId, groups: readonly WorkloadGroup[], isPartial: boolean): void;
  onDisconnected(agentId: SpiffeId): void;
}

export interface SyncServiceOptions {
  readonly hub: Pick<SyncHub, 'catchUp' | 'connect'>;
  readonly agents: Pick<AgentRegistry, 'setVersion'>;
  readonly authorization: Pick<Authorization, 'agentOf' | 'requireAgent'>;
  readonly confirmations: ConfirmationSink;
  readonly takers?: PolicyTakerSink;
  readonly workloads?: WorkloadSink;
  readonly clock: Clock;
  /** Default: nothing is traced. */
  readonly tracing?: Pick<Tracing, 'follow'>;
}

type SyncCall = ServerDuplexStream<WireSyncRequest, WireSyncResponse>;

export const syncServiceLimits = {
  /** How often the agent of a stream is judged again when nothing happens. */
  judgeMs: 60_000,
  /** How long an update may take until the agent says that it took effect. */
  silenceMs: 60_000,
} as const;

/** trustplane.sync.v1.Sync; to be guarded. */
export function createSyncService(options: SyncServiceOptions): GrpcService {
  return {
    definition: loadService('trustplane/sync/v1/sync.proto', 'trustplane.sync.v1.Sync'),
    implementation: { Sync: (call: SyncCall): unknown => serveAgent(options, call) },
  };
}

async function serveAgent(options: SyncServiceOptions, call: SyncCall): Promise<void> {
  const { authorization, agents, confirmations, takers, workloads, hub } = options;
  const reader = new MessageReader<WireSyncRequest>(call);
  const { id } = authorization.agentOf(call);
  const first = await reader.next();
  if (first === undefined) return void call.end();
  const hello = parseSyncRequest(first);
  if (hello.kind !== 'hello') {
    const message = `the first message: expected a hello; got ${hello.kind}`;
    throw new TrustplaneError('ERR_SYNC_REQUEST', message);
  }
  await hub.catchUp(hello.resume);
  // It may have been replaced since the stream began, and ends no stream of the one in use.
  await authorization.requireAgent(call);
  const sender = new UpdateSender(options, call, (reason) => reader.fail(reason));
  const link = hub.connect(id, hello, sender);
  confirmations.onConnected(id);
  if (hello.takesPolicies === true) takers?.onConnected(id);
  workloads?.onConnected(id);
  try {
    if (hello.agentVersion !== '') await agents.setVersion(id, hello.agentVersion);
    sender.begin(link);
    for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
      const request = parseSyncRequest(next);
      if (request.kind === 'applied') sender.acknowledge(request);
      else if (request.kind === 'hello') throw notDue();
      else if (request.kind === 'workloads')
        workloads?.onWorkloads(id, request.groups, request.isPartial);
      else if (request.kind === 'policies') takers?.onTakers(id, request.takers);
      else confirmations.onConfirmed(id, request.bundleDigest, request.laggards);
    }
    call.end();
  } finally {
    sender.close();
    link.close();
    confirmations.onDisconnected(id);
    if (hello.takesPolicies === true) takers?.onDisconnected(id);
    workloads?.onDisconnected(id);
  }
}

/** Sends an agent what the hub has for it, one update after the other, as long as it may have it. */
class UpdateSender {
  readonly #options: SyncServiceOptions;
  readonly #call: SyncCall;
  readonly #fail: (reason: TrustplaneError) => void;
  readonly #spans: UpdateSpans;
  #link: SyncLink | undefined;
  #isSending = false;
  #isWoken = false;
  #isOver = false;
  #hasSaidTerms = false;
  #judging: Timer | undefined;
  #silence: Timer | undefined;

  constructor(
    options: SyncServiceOptions,
    call: SyncCall,
    fail: (reason: TrustplaneError) => void,
  ) {
    this.#options = options;
    this.#call = call;
    this.#fail = fail;
    this.#spans = new UpdateSpans(options.tracing, options.authorization.agentOf(call).id);
  }

  begin(link: SyncLink): void {
    this.#link = link;
    this.wake();
  }

  wake(): void {
    this.#isWoken = true;
    if (this.#isSending || this.#link === undefined) return;
    this.#isSending = true;
    void this.#send(this.#link);
  }

  /** @throws TrustplaneError ERR_SYNC_REFUSED */
  acknowledge({ revision, digest }: Extract<SyncRequest, { kind: 'applied' }>): void {
    if (this.#link?.acknowledge(revision, digest) !== true) return;
    this.#silence?.cancel();
    this.#spans.end();
  }

  end(reason: TrustplaneError): void {
    this.close();
    this.#fail(reason);
  }

  close(): void {
    this.#isOver = true;
    this.#spans.end('the stream ended before the agent said that it took effect');
    this.#judging?.cancel();
    this.#silence?.cancel();
  }

  async #send(link: SyncLink): Promise<void> {
    try {
      while (this.#isWoken && !this.#isOver) {
        this.#isWoken = false;
        await this.#sendNext(link);
      }
    } catch (error) {
      this.end(reasonOf(error));
    } finally {
      this.#isSending = false;
    }
  }

  async #sendNext(link: SyncLink): Promise<void> {
    await this.#options.authorization.requireAgent(this.#call);
    if (this.#isOver) return;
    this.#judgeLater();
    const update = link.take();
    if (update === undefined) return;
    this.#expectAnswer();
    const causes = this.#spans.begin(update);
    for (const part of buildParts(update)) {
      if (this.#isOver) return;
      const isTraced = part.is_last === true && causes.length > 0;
      await writePaced(this.#call, this.#withTerms(isTraced ? { ...part, causes } : part));
    }
  }

  /** What the agent may tell, in the first part. */
  #withTerms(part: WireSyncResponse): WireSyncResponse {
    if (this.#options.workloads === undefined || this.#hasSaidTerms) return part;
    this.#hasSaidTerms = true;
    return { ...part, takes_workloads: true };
  }

  #judgeLater(): void {
    this.#judging?.cancel();
    const { clock } = this.#options;
    this.#judging = clock.setTimer(syncServiceLimits.judgeMs, () => this.wake());
  }

  #expectAnswer(): void {
    this.#silence?.cancel();
    const { silenceMs } = syncServiceLimits;
    const message = `no word that an update took effect within ${silenceMs / 1000} s`;
    const reason = new TrustplaneError('ERR_SYNC_SILENT', message);
    this.#silence = this.#options.clock.setTimer(silenceMs, () => this.end(reason));
  }
}

function notDue(): TrustplaneError {
  return new TrustplaneError('ERR_SYNC_REQUEST', 'a second hello on the stream');
}

function reasonOf(error: unknown): TrustplaneError {
  if (error instanceof TrustplaneError) return error;
  return new TrustplaneError('ERR_INTERNAL', messageOf(error), { cause: error });
}
