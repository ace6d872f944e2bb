import type { ServerWritableStream } from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  type Clock,
  type ResourceReport,
  type StreamRegister,
  TrustplaneError,
  type WorkloadAttachment,
  type WorkloadSource,
  type WorkloadUpdate,
} from '../spiffe/index.ts';
import { type PeerProcess, peerOf, toServiceError } from '../wire/index.ts';
import { checkEmptyRequest } from './empty-request.ts';
import { LatestWriter } from './latest-writer.ts';
import { noIdentity, processGone } from './refusals.ts';
import { requireSecurityHeader } from './security-header.ts';
import type { StreamQuota } from './stream-quota.ts';
import type { UpdateEncoder } from './update-encoder.ts';
import type { WorkloadMetrics } from './workload-metrics.ts';

export type UpdateCall = ServerWritableStream<Buffer, Buffer>;

/** Where it is noted which callers have the own trust domain's bundle. */
export interface BundleAudience {
  /** A caller is given the bundle for the first time. */
  join(name: string): {
    /** All the caller has is made with this bundle. */
    has(bundle: Bundle): void;
    /** It may hold an earlier one, because. */
    lacks(reason: string): void;
    leave(): void;
  };
}

/** What all streams of one method share. */
export interface UpdateStreamOptions {
  readonly method: string;
  readonly source: WorkloadSource<PeerProcess>;
  readonly encode: UpdateEncoder;
  /** Serve callers that have no identity. */
  readonly allowNoIdentity: boolean;
  /** Told which callers have the own bundle, where the messages hold its X.509 authorities. */
  readonly audience: BundleAudience | undefined;
  readonly quota: StreamQuota<PeerProcess>;
  readonly log: Log;
  readonly metrics: WorkloadMetrics;
  readonly clock: Clock;
  /** Where streams are noted while they are open. */
  readonly register: StreamRegister | undefined;
}

/** Serves one call: the whole state now and after each change, until the caller is no longer entitled to any. */
export function serveUpdates(call: UpdateCall, options: UpdateStreamOptions): void {
  try {
    requireSecurityHeader(call.metadata);
    checkEmptyRequest(call.request);
    const process = peerOf(call);
    const release = options.quota.take(process);
    new UpdateStream(call, process, release, options).start();
  } catch (error) {
    refuse(call, error, options);
  }
}

class UpdateStream {
  readonly #call: UpdateCall;
  readonly #process: PeerProcess;
  readonly #release: () => void;
  readonly #options: UpdateStreamOptions;
  readonly #writer: LatestWriter;
  #attachment: WorkloadAttachment | undefined;
  #holder: ReturnType<BundleAudience['join']> | undefined;
  #isOver = false;
  #unregister: ((ended?: string) => void) | undefined;
  #resources: readonly ResourceReport[] = [];

  constructor(
    call: UpdateCall,
    process: PeerProcess,
    release: () => void,
    options: UpdateStreamOptions,
  ) {
    this.#call = call;
    this.#process = process;
    this.#release = release;
    this.#options = options;
    this.#writer = new LatestWriter({
      write: (message, done) => {
        // What a slow client left waiting is not for the child that a dead process left the connection to.
        if (!process.isAlive()) return this.#end(processGone());
        options.metrics.responses.inc({ method: options.method });
        call.write(message, done);
      },
    });
  }

  start(): void {
    const { metrics, method, source } = this.#options;
    metrics.streams.inc({ method });
    this.#register();
    for (const event of ['cancelled', 'close', 'finish']) {
      this.#call.once(event, () => this.#finish());
    }
    this.#attachment = source.attach(this.#process, {
      onUpdate: (update) => this.#onUpdate(update),
      onGone: (reason) => this.#end(reason),
    });
    if (this.#isOver) this.#attachment.close();
  }

  #register(): void {
    const { register, method: service, clock } = this.#options;
    const { pid, uid, startTime } = this.#process;
    const openedAt = clock.now();
    const stream = { service, pid, uid, startTime, node: '', openedAt };
    this.#unregister = register?.open(() => ({ ...stream, resources: this.#resources }));
  }

  /** What it was given last. */
  #note({ identities }: WorkloadUpdate): void {
    const at = this.#options.clock.now();
    this.#resources = identities.map(({ spiffeId }) => ({
      type: 'X509-SVID',
      name: spiffeId.toString(),
      state: 'taken',
      at,
    }));
  }

  #onUpdate(update: WorkloadUpdate): void {
    if (this.#isOver) return;
    const { allowNoIdentity, encode } = this.#options;
    if (update.identities.length === 0 && !allowNoIdentity) return this.#end(noIdentity());
    const { audience, method } = this.#options;
    this.#holder ??= audience?.join(`${method} of pid ${this.#process.pid}`);
    this.#holder?.lacks('does not read');
    this.#note(update);
    this.#writer.offer(encode(update), () => this.#holder?.has(update.bundle));
  }

  #end(reason: Error): void {
    if (this.#isOver) return;
    this.#unregister?.(reason.message);
    this.#finish();
    const { log, method } = this.#options;
    const { pid, uid } = this.#process;
    const fields = { method, pid, uid, reason: reason.message };
    if (isExpected(reason)) log.debug(fields, 'Workload API stream refused');
    else log.warn(fields, 'Workload API stream ended');
    refuse(this.#call, reason, this.#options);
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unregister?.();
    this.#writer.clear();
    this.#attachment?.close();
    this.#holder?.leave();
    this.#release();
    this.#options.metrics.streams.dec({ method: this.#options.method });
  }
}

/** Ends a call with an error, in gRPC's terms. */
export function refuse(
  call: UpdateCall,
  error: unknown,
  { method, metrics }: Pick<UpdateStreamOptions, 'method' | 'metrics'>,
): void {
  const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
  metrics.errors.inc({ method, code });
  call.emit('error', toServiceError(error));
}

/** Clients without an identity come back every few seconds. */
function isExpected(reason: Error): boolean {
  return reason instanceof TrustplaneError && reason.code === 'ERR_WORKLOAD_NO_IDENTITY';
}
