import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Log, Tracing } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type StreamRegister,
  type StreamReport,
  type Timer,
  TrustplaneError,
  type WorkloadAttachment,
  type WorkloadSource,
  type WorkloadUpdate,
} from '../spiffe/index.ts';
import { type PeerProcess, toServiceError } from '../wire/index.ts';
import {
  type ClientNode,
  type CodeFamily,
  checkNameCount,
  type DiscoveryRequest,
  xdsLimits,
} from './discovery-request.ts';
import type { TypedResponse } from './discovery-response.ts';
import type { LargeWrites } from './large-writes.ts';
import { countNameBytes, type NameQuota } from './name-quota.ts';
import type { Pacer } from './pacer.ts';
import type { ResourceType, XdsClient } from './resource-type.ts';
import type { Response } from './respond.ts';
import type { StreamKind, StreamProtocol } from './stream-protocol.ts';
import type { StreamState, Verdict } from './stream-state.ts';
import { Subscription } from './subscription.ts';

/** What all streams of a service share. */
export interface StreamContext {
  readonly source: WorkloadSource<PeerProcess>;
  readonly clock: Clock;
  readonly log: Log;
  /** What the service is called in logs: `SDS`. */
  readonly label: string;
  readonly codes: CodeFamily;
  readonly types: readonly ResourceType[];
  /** The type a request is about. Undefined: it is not answered. @throws TrustplaneError */
  readonly typeOf: (typeUrl: string) => ResourceType | undefined;
  readonly streams: { opened(kind: StreamKind): void; closed(kind: StreamKind): void };
  readonly pacer: Pacer;
  readonly nameQuota: NameQuota;
  readonly largeWrites: LargeWrites;
  /** Where streams are noted while they are open. */
  readonly register?: StreamRegister | undefined;
  readonly tracing?: Pick<Tracing, 'follow'> | undefined;
}

export type DiscoveryCall = ServerDuplexStream<Buffer, TypedResponse>;

/**
 * Serves one stream until it ends: takes requests and updates into the state of each type, and writes
 * what is due whenever nothing is being written. So at most one response waits for a client that does
 * not read.
 */
export class DiscoveryStream<Request extends DiscoveryRequest> {
  readonly #call: DiscoveryCall;
  readonly #protocol: StreamProtocol<Request>;
  readonly #context: StreamContext;
  readonly #peer: PeerProcess;
  readonly #push: () => void = () => {
    this.#isAttaching = false;
    this.#guard(() => this.#pump(true));
  };
  readonly #look: () => void = () => this.#guard(() => this.#pump(false));
  readonly #turn: () => void = () => this.#context.pacer.run(this.#look);
  /** One for each type, from the first request on. */
  #subscriptions: readonly Subscription[] = [];
  #attachment: WorkloadAttachment | undefined;
  #isAttaching = false;
  #update: WorkloadUpdate | undefined;
  #nodeId = '';
  #nameBytes = 0;
  #writing = false;
  #closed = false;
  #secondStart = 0;
  #requestsThisSecond = 0;
  #pause: Timer | undefined;
  #wake: Timer | undefined;
  readonly #openedAt: number;
  readonly #unregister: ((ended?: string) => void) | undefined;

  constructor(
    call: DiscoveryCall,
    peer: PeerProcess,
    protocol: StreamProtocol<Request>,
    context: StreamContext,
  ) {
    this.#call = call;
    this.#peer = peer;
    this.#protocol = protocol;
    this.#context = context;
    context.streams.opened(protocol.kind);
    this.#openedAt = context.clock.now();
    this.#unregister = context.register?.open(() => this.#report());
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
      onGone: (reason) => this.#fail(callerGone(reason, this.#context.codes)),
    });
    former?.close();
    // The source may have ended the stream from within `attach`.
    if (this.#closed) this.#attachment.close();
  }

  #receive(bytes: Buffer): void {
    this.#throttle();
    const request = this.#protocol.parse(bytes);
    const type = this.#context.typeOf(request.typeUrl);
    if (this.#subscriptions.length === 0) this.#meet(request.node);
    const subscription = this.#subscriptions.find((one) => one.type === type);
    if (subscription === undefined) return;
    const { state, verdict } = this.#protocol.receive(
      subscription.state,
      request,
      this.#context.clock.now(),
    );
    this.#takeNames(subscription, state);
    subscription.state = state;
    if (verdict !== undefined) this.#settle(subscription, verdict, request.refusal);
    this.#pump(false);
  }

  /** A client describes itself once per stream. */
  #meet(node: ClientNode | undefined): void {
    this.#nodeId = node?.id ?? '';
    const onChange = (): void => this.#context.pacer.run(this.#look);
    const client: XdsClient = { pid: this.#peer.pid, node, onChange };
    const opened: Subscription[] = [];
    // Those that are open are closed with the stream when another is not.
    this.#subscriptions = opened;
    const { types, tracing } = this.#context;
    for (const type of types) opened.push(new Subscription(type, client, tracing));
  }

  #takeNames(subscription: Subscription, next: StreamState): void {
    const { codes, nameQuota } = this.#context;
    let names = 0;
    let bytes = 0;
    for (const one of this.#subscriptions) {
      const state = one === subscription ? next : one.state;
      names += state.names.size;
      bytes += countNameBytes(state);
    }
    checkNameCount(names, codes);
    nameQuota.replace(this.#peer.uid, this.#nameBytes, bytes);
    this.#nameBytes = bytes;
  }

  #settle(subscription: Subscription, verdict: Verdict, refusal: string | undefined): void {
    subscription.settle(verdict, refusal, this.#context.clock.now());
    if (refusal === undefined) return;
    const client = { pid: this.#peer.pid, node: this.#nodeId };
    subscription.type.nacks.note(verdict.refs, refusal, client);
  }

  /**
   * Sends what is due. `isAttested`: the update has just come. Later, for what another request asks,
   * what has become another meanwhile, or what a slow client left waiting, the caller is attested again
   * first: it may have died and left the connection to a child, or be somebody else by now.
   */
  #pump(isAttested: boolean): void {
    if (this.#writing || this.#closed || this.#update === undefined) return;
    const update = this.#update;
    const now = this.#context.clock.now();
    for (const subscription of this.#subscriptions) {
      if (!subscription.state.started) continue;
      const advance = subscription.advance(this.#protocol.respond, update, now);
      const { response } = advance;
      if (response !== undefined) {
        if (!this.#hasTurn(response)) return;
        if (!isAttested) return this.#attach();
      }
      subscription.commit(advance, update, now);
      if (response !== undefined) {
        return this.#write({ ...response, typeUrl: subscription.type.typeUrl });
      }
    }
    this.#endTurn();
    this.#sleep(update, now);
  }

  /** Its turn is kept while the caller is attested again. */
  #hasTurn({ resources }: Response): boolean {
    const bytes = resources.reduce((sum, { sotw }) => sum + sotw.bytes, 0);
    return this.#context.largeWrites.enter(this.#peer.pid, bytes, this.#turn);
  }

  #endTurn(): void {
    this.#context.largeWrites.leave(this.#peer.pid, this.#turn);
  }

  #write(response: TypedResponse): void {
    this.#writing = true;
    this.#call.write(response, () => {
      this.#writing = false;
      this.#endTurn();
      this.#look();
    });
  }

  /** Until the first heartbeat is due. */
  #sleep(update: WorkloadUpdate, now: number): void {
    this.#wake?.cancel();
    this.#wake = undefined;
    let first = Infinity;
    for (const one of this.#subscriptions) first = Math.min(first, one.wakeTime(update, now));
    if (first !== Infinity) this.#wake = this.#context.clock.setTimer(first - now, this.#look);
  }

  /** A client that asks too fast is read no further until a second has passed. */
  #throttle(): void {
    const now = this.#context.clock.now();
    if (Math.abs(now - this.#secondStart) >= 1000) {
      this.#secondStart = now;
      this.#requestsThisSecond = 0;
    }
    this.#requestsThisSecond++;
    if (this.#requestsThisSecond < xdsLimits.maxRequestsPerSecond || this.#pause) return;
    this.#call.pause();
    this.#pause = this.#context.clock.setTimer(1000, () => {
      this.#pause = undefined;
      this.#call.resume();
    });
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
    this.#unregister?.(messageOf(error));
    this.#close();
    const { label, log } = this.#context;
    const fields = { pid: this.#peer.pid, node: this.#nodeId, error: messageOf(error) };
    if (error instanceof TrustplaneError) log.info(fields, `an ${label} stream was ended`);
    else log.error(fields, `an ${label} stream failed`);
    this.#call.emit('error', toServiceError(error));
  }

  #report(): StreamReport {
    const { pid, uid, startTime } = this.#peer;
    return {
      service: this.#context.label,
      pid,
      uid,
      startTime,
      node: this.#nodeId,
      openedAt: this.#openedAt,
      resources: this.#subscriptions.flatMap((one) => one.report()),
    };
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unregister?.();
    this.#pause?.cancel();
    this.#wake?.cancel();
    for (const subscription of this.#subscriptions) subscription.close();
    this.#endTurn();
    this.#context.pacer.forget(this.#push);
    this.#context.pacer.forget(this.#look);
    this.#context.nameQuota.release(this.#peer.uid, this.#nameBytes);
    this.#context.streams.closed(this.#protocol.kind);
    this.#attachment?.close();
  }
}

export function callerGone(reason: Error, codes: CodeFamily): TrustplaneError {
  return new TrustplaneError(
    `ERR_${codes}_CALLER_GONE`,
    `the calling process is not served any more: ${reason.message}`,
    { cause: reason },
  );
}
