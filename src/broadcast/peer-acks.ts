import { type Log, limitLog, type Metrics } from '../ops/index.ts';
import { type Bundle, type Clock, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { type BundleAck, verifyAckMessage } from './ack-message.ts';
import type { BroadcastLink } from './broadcast-link.ts';
import { broadcastMetricsOf } from './broadcast-metrics.ts';
import { BroadcastStream } from './broadcast-stream.ts';
import type { BroadcastPeer } from './bundle-interest.ts';
import type { Listening } from './inbox.ts';
import { Inboxes } from './inboxes.ts';
import { ackSubject } from './subjects.ts';

export interface PeerAcksOptions {
  readonly trustDomain: TrustDomain;
  /** The trust domains that are waited for now. */
  readonly awaited: () => readonly BroadcastPeer[];
  /** The bundle that is trusted now; undefined: none. */
  readonly trusted: (trustDomain: TrustDomain) => Bundle | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Somebody who does not have an authority, and why. */
interface Behind {
  readonly who: string;
  readonly why: string;
}

interface Awaited {
  readonly peer: BroadcastPeer;
  readonly listening: Listening;
  /** What its messages were verified with last; undefined: nothing. */
  verifier: Bundle | undefined;
  /** What it said last. */
  ack: BundleAck | undefined;
}

/** Which of the federated trust domains that are waited for hold which own bundle (design D4). */
export class PeerAcks {
  readonly #options: PeerAcksOptions;
  readonly #log: Log;
  readonly #awaited = new Map<string, Awaited>();
  readonly #listeners = new Set<() => void>();
  #inboxes: Inboxes | undefined;

  constructor(options: PeerAcksOptions) {
    this.#options = options;
    this.#log = limitLog(options.log, options.clock);
    this.refresh();
  }

  /** Begins to listen; without, those waited for never answer. Closed with `close`. */
  listen(link: BroadcastLink): void {
    const { clock } = this.#options;
    const log = this.#log;
    const metrics = broadcastMetricsOf(this.#options.metrics);
    this.#inboxes = new Inboxes({
      link,
      clock,
      log,
      metrics,
      stream: new BroadcastStream(link, log),
    });
    this.refresh();
  }

  /** To be called when those waited for may have changed. Never throws. */
  refresh(): void {
    const { awaited, trustDomain: own } = this.#options;
    const peers = new Map(awaited().map((peer) => [peer.trustDomain.name, peer]));
    for (const [name, { peer }] of this.#awaited) {
      if (peers.get(name)?.publisherId.equals(peer.publisherId) !== true)
        this.#awaited.delete(name);
    }
    for (const [name, peer] of peers) {
      if (this.#awaited.has(name)) continue;
      const subject = ackSubject(own, peer.trustDomain);
      const take = (bytes: Uint8Array) => this.#take(bytes, peer);
      this.#awaited.set(name, {
        peer,
        verifier: this.#verifierOf(peer),
        ack: undefined,
        listening: { subject, kind: 'ack', take },
      });
    }
    void this.#inboxes?.set([...this.#awaited.values()].map(({ listening }) => listening));
    this.#tell();
  }

  /** To be called when bundles may have changed: what could not be verified before may be now. Never throws. */
  reconsider(): void {
    for (const awaited of this.#awaited.values()) {
      const verifier = this.#verifierOf(awaited.peer);
      if (verifier === awaited.verifier) continue;
      awaited.verifier = verifier;
      if (verifier !== undefined) void this.#inboxes?.reconsider(awaited.listening.subject);
    }
  }

  /** Those who have not said that they hold a bundle that `isWithIt` tells. */
  behind(isWithIt: (digest: string | undefined) => boolean): readonly Behind[] {
    const why = 'has not acknowledged a bundle with it';
    return [...this.#awaited.values()].flatMap(({ peer, ack }) =>
      isWithIt(ack?.digest) ? [] : [{ who: `the trust domain ${peer.trustDomain.name}`, why }],
    );
  }

  /** Calls the listener after whatever may change what `behind` says; returns the way to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#inboxes?.close();
  }

  #take(bytes: Uint8Array, peer: BroadcastPeer): 'accepted' | 'known' {
    const { clock, trustDomain: publisher } = this.#options;
    const { trustDomain: receiver, publisherId } = peer;
    const bundle = this.#verifierOf(peer);
    if (bundle === undefined) {
      const message = `there is no bundle of ${publisherId.trustDomain.name} to verify it with`;
      throw new TrustplaneError('ERR_BUNDLE_MESSAGE_SIGNATURE', message);
    }
    const now = clock.now();
    const ack = verifyAckMessage(bytes, { publisher, receiver, publisherId, bundle, now });
    const awaited = this.#awaited.get(receiver.name);
    const isOld = ack.issuedAt < (awaited?.ack?.issuedAt ?? 0);
    if (awaited === undefined || isOld || ack.digest === awaited.ack?.digest) return 'known';
    awaited.ack = ack;
    this.#tell();
    return 'accepted';
  }

  #verifierOf({ publisherId }: BroadcastPeer): Bundle | undefined {
    return this.#options.trusted(publisherId.trustDomain);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
