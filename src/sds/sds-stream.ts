import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type Timer,
  TrustplaneError,
  type WorkloadAttachment,
  type WorkloadSource,
  type WorkloadUpdate,
} from '../spiffe/index.ts';
import { type PeerProcess, toServiceError } from '../wire/index.ts';
import { type BundleAudience, ContextHolder } from './context-holder.ts';
import { type ClientNode, checkNameCount, printable, sdsLimits } from './discovery-request.ts';
import type { NackLog } from './nack-log.ts';
import type { NameQuota } from './name-quota.ts';
import type { Pacer } from './pacer.ts';
import type { SecretResponse } from './respond.ts';
import type { SdsMetrics, StreamKind } from './sds-metrics.ts';
import type { SecretView } from './secret-view.ts';
import {
  countWaiting,
  initialStreamState,
  type StreamState,
  type Verdict,
} from './stream-state.ts';
import type { ValidationMode } from './validation.ts';

/** What all streams share. */
export interface SdsContext {
  readonly source: WorkloadSource<PeerProcess>;
  readonly viewOf: (update: WorkloadUpdate, mode: ValidationMode) => SecretView;
  readonly modeFor: (node: ClientNode | undefined) => ValidationMode;
  readonly clock: Clock;
  readonly log: Log;
  /** A client gets plain validation contexts, which an operator should know. */
  readonly notePlain: () => void;
  readonly nacks: NackLog;
  readonly metrics: SdsMetrics;
  readonly pacer: Pacer;
  readonly nameQuota: NameQuota;
  readonly audience: BundleAudience | undefined;
}

const MAX_NODE_CHARS = 100;
const MAX_WITHHELD_LOGGED = 10;

/** What SotW and delta do differently. */
export interface StreamProtocol<Request> {
  readonly kind: StreamKind;
  parse(bytes: Uint8Array): Request;
  receive(
    state: StreamState,
    request: Request,
  ): { readonly state: StreamState; readonly verdict: Verdict | undefined };
  respond(
    state: StreamState,
    view: SecretView,
    now: number,
  ): { readonly state: StreamState; readonly response: SecretResponse | undefined };
}

interface AnyRequest {
  readonly refusal: string | undefined;
  readonly node: ClientNode | undefined;
}

/**
 * Serves one stream until it ends: takes requests and updates into the state, and writes what is due
 * whenever nothing is being written. So at most one response waits for a client that does not read.
 */
export class SdsStream<Request extends AnyRequest> {
  readonly #call: ServerDuplexStream<Buffer, SecretResponse>;
  readonly #protocol: StreamProtocol<Request>;
  readonly #context: SdsContext;
  readonly #peer: PeerProcess;
  readonly #push: () => void = () => {
    this.#isAttaching = false;
    this.#guard(() => this.#pump(true));
  };
  readonly #contexts: ContextHolder | undefined;
  #attachment: WorkloadAttachment | undefined;
  #isAttaching = false;
  #state: StreamState = initialStreamState;
  #update: WorkloadUpdate | undefined;
  #mode: ValidationMode = 'spiffe';
  #nodeId = '';
  #waiting = 0;
  #nameBytes = 0;
  #writing = false;
  #closed = false;
  #secondStart = 0;
  #requestsThisSecond = 0;
  #pause: Timer | undefined;

  constructor(
    call: ServerDuplexStream<Buffer, SecretResponse>,
    peer: PeerProcess,
    protocol: StreamProtocol<Request>,
    context: SdsContext,
  ) {
    this.#call = call;
    this.#peer = peer;
    this.#protocol = protocol;
    this.#context = context;
    const { audience } = context;
    this.#contexts = audience && new ContextHolder(() => audience.join(this.#name));
    context.metrics.opened(protocol.kind);
    const close = (): void => this.#close();
    call.on('data', (bytes: Buffer) => this.#guard(() => this.#receive(bytes)));
    call.on('end', () => {
      close();
      call.end();
    });
    call.on('cancelled', close).on('error', close).on('close', close);
    this.#guard(() => this.#attach());
  }

  /** Attaches, or attaches anew: the update that comes is of an attestation that began after this. */
  #attach(): void {
    if (this.#isAttaching) return;
    this.#isAttaching = true;
    const former = this.#attachment;
    this.#attachment = this.#context.source.attach(this.#peer, {
      onUpdate: (update) => {
        this.#update = update;
        this.#context.pacer.run(this.#push);
      },
      onGone: (reason) => this.#fail(callerGone(reason)),
    });
    former?.close();
    // The source may have ended the stream from within `attach`.
    if (this.#closed) this.#attachment.close();
  }

  #receive(bytes: Buffer): void {
    this.#throttle();
    const request = this.#protocol.parse(bytes);
    if (!this.#state.started) this.#meet(request.node);
    const { state, verdict } = this.#protocol.receive(this.#state, request);
    this.#takeNames(state);
    this.#noteDeclined(state.declined);
    this.#state = state;
    if (verdict !== undefined) this.#note(verdict, request.refusal);
    this.#pump(false);
  }

  /** Which stream this is, to an operator. */
  get #name(): string {
    const node = this.#nodeId === '' ? '' : ` (${printable(this.#nodeId, MAX_NODE_CHARS)})`;
    return `SDS stream of pid ${this.#peer.pid}${node}`;
  }

  #takeNames(state: StreamState): void {
    checkNameCount(state.names.size);
    const { nameQuota } = this.#context;
    this.#nameBytes = nameQuota.replace(this.#peer.uid, this.#nameBytes, state);
  }

  /** Envoy describes itself once per stream. */
  #meet(node: ClientNode | undefined): void {
    this.#mode = this.#context.modeFor(node);
    this.#nodeId = node?.id ?? '';
    if (this.#mode === 'plain') this.#context.notePlain();
    const fields = { pid: this.#peer.pid, node: this.#nodeId, mode: this.#mode };
    this.#context.log.debug(fields, 'an SDS stream asks for secrets');
  }

  /** What a client refuses with a list of SPIFFE IDs it is given without the trust domains that need one. */
  #noteDeclined(declined: ReadonlySet<string>): void {
    const before = this.#state.declined;
    if (declined === before) return;
    const { log, metrics } = this.#context;
    metrics.declined(declined.size - before.size);
    const withheld = [...(this.#update?.accept.keys() ?? [])].slice(0, MAX_WITHHELD_LOGGED);
    for (const name of declined) {
      if (before.has(name)) continue;
      const resourceName = printable(name, MAX_NODE_CHARS);
      const fields = { pid: this.#peer.pid, node: this.#nodeId, resourceName, withheld };
      log.warn(fields, 'trust domains are withheld from a client that takes no list of SPIFFE IDs');
    }
  }

  #note(verdict: Verdict, refusal: string | undefined): void {
    const { clock, metrics, nacks } = this.#context;
    this.#contexts?.settle(verdict, refusal);
    metrics.settled(verdict, clock.now());
    if (refusal !== undefined) {
      nacks.note(verdict.refs, refusal, { pid: this.#peer.pid, node: this.#nodeId });
    }
  }

  /**
   * Sends what is due. `isAttested`: the update has just come. Later, for what another request asks
   * or a slow client left waiting, the caller is attested again first: it may have died and left the
   * connection to a child, or be somebody else by now.
   */
  #pump(isAttested: boolean): void {
    if (this.#writing || this.#closed || this.#update === undefined) return;
    const { clock, metrics, viewOf } = this.#context;
    const view = viewOf(this.#update, this.#mode);
    const now = clock.now();
    const { state, response } = this.#protocol.respond(this.#state, view, now);
    if (response !== undefined && !isAttested) return this.#attach();
    this.#state = state;
    this.#countWaiting(countWaiting(state));
    this.#contexts?.send(response?.secrets ?? []);
    this.#contexts?.report(state, view, this.#update.bundle, now);
    if (response === undefined) return;
    this.#writing = true;
    metrics.sent(response.secrets);
    this.#call.write(response, () => {
      this.#writing = false;
      this.#guard(() => this.#pump(false));
    });
  }

  /** A client that asks too fast is read no further until a second has passed. */
  #throttle(): void {
    const now = this.#context.clock.now();
    if (Math.abs(now - this.#secondStart) >= 1000) {
      this.#secondStart = now;
      this.#requestsThisSecond = 0;
    }
    this.#requestsThisSecond++;
    if (this.#requestsThisSecond < sdsLimits.maxRequestsPerSecond || this.#pause) return;
    this.#call.pause();
    this.#pause = this.#context.clock.setTimer(1000, () => {
      this.#pause = undefined;
      this.#call.resume();
    });
  }

  #countWaiting(waiting: number): void {
    if (waiting === this.#waiting) return;
    this.#context.metrics.waiting(waiting - this.#waiting);
    this.#waiting = waiting;
  }

  /** An error ends this stream and no other. */
  #guard(act: () => void): void {
    if (this.#closed) return;
    try {
      act();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#close();
    const { log } = this.#context;
    const fields = { pid: this.#peer.pid, node: this.#nodeId, error: messageOf(error) };
    if (error instanceof TrustplaneError) log.info(fields, 'an SDS stream was ended');
    else log.error(fields, 'an SDS stream failed');
    this.#call.emit('error', toServiceError(error));
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pause?.cancel();
    this.#contexts?.leave();
    this.#context.pacer.forget(this.#push);
    this.#countWaiting(0);
    this.#context.metrics.declined(-this.#state.declined.size);
    this.#context.nameQuota.release(this.#peer.uid, this.#nameBytes);
    this.#context.metrics.closed(this.#protocol.kind);
    this.#attachment?.close();
  }
}

export function callerGone(reason: Error): TrustplaneError {
  return new TrustplaneError(
    'ERR_SDS_CALLER_GONE',
    `the calling process is not served any more: ${reason.message}`,
    { cause: reason },
  );
}
