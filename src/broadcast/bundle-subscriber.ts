import { type Log, limitLog, type Metrics } from '../ops/index.ts';
import {
  type Bundle,
  bundleDigest,
  type Clock,
  MAX_SEQUENCE_LEAP,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { BroadcastLink } from './broadcast-link.ts';
import { broadcastMetricsOf } from './broadcast-metrics.ts';
import { BroadcastStream } from './broadcast-stream.ts';
import type { BundleInterest } from './bundle-interest.ts';
import { type VerifiedBundleMessage, verifyBundleMessage } from './bundle-message.ts';
import type { Listening } from './inbox.ts';
import { Inboxes } from './inboxes.ts';

export interface BundleSubscriberOptions {
  readonly link: BroadcastLink;
  /** What is listened for now. */
  readonly interests: () => readonly BundleInterest[];
  /** The bundle that is trusted now, of the own trust domain or another; undefined: none. */
  readonly trusted: (trustDomain: TrustDomain) => Bundle | undefined;
  /** Takes a bundle in that was verified and is newer than the trusted one; `issuedAt` in milliseconds since the epoch. May throw. */
  readonly take: (
    bundle: Bundle,
    interest: BundleInterest,
    issuedAt: number,
  ) => Promise<void> | void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What was heard last of a trust domain's bundle. */
export interface LastBroadcast {
  readonly sequence: bigint;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  readonly via: BundleInterest['via'];
}

/** Bundles as they are broadcast, verified (design D5); closed with `close`. */
export interface BundleSubscriber {
  /** To be called when interests or trusted bundles may have changed. Never throws. */
  refresh(): void;
  lastOf(trustDomain: TrustDomain): LastBroadcast | undefined;
  close(): Promise<void>;
}

/** Begins to listen, now or as soon as there is a connection. */
export function openBundleSubscriber(options: BundleSubscriberOptions): BundleSubscriber {
  const subscriber = new RunningSubscriber(options);
  subscriber.refresh();
  return subscriber;
}

interface Heard {
  readonly interest: BundleInterest;
  readonly listening: Listening;
  /** What its messages were verified with last; undefined: nothing. */
  verifier: Bundle | undefined;
}

class RunningSubscriber implements BundleSubscriber {
  readonly #options: BundleSubscriberOptions;
  readonly #inboxes: Inboxes;
  /** By subject. */
  readonly #heard = new Map<string, Heard>();
  readonly #last = new Map<string, LastBroadcast>();
  /** Digests of what was taken in last, by trust domain name. */
  readonly #taken = new Map<string, string>();

  constructor(options: BundleSubscriberOptions) {
    this.#options = options;
    const log = limitLog(options.log, options.clock);
    this.#inboxes = new Inboxes({
      ...options,
      log,
      stream: new BroadcastStream(options.link, log),
      metrics: broadcastMetricsOf(options.metrics),
    });
  }

  refresh(): void {
    const interests = new Map(this.#options.interests().map((one) => [one.subject, one]));
    for (const subject of this.#heard.keys()) {
      if (!interests.has(subject)) this.#heard.delete(subject);
    }
    const names = new Set([...interests.values()].map(({ trustDomain }) => trustDomain.name));
    for (const map of [this.#last, this.#taken]) {
      for (const name of map.keys()) if (!names.has(name)) map.delete(name);
    }
    for (const [subject, interest] of interests) this.#want(subject, interest);
    void this.#inboxes.set([...this.#heard.values()].map(({ listening }) => listening));
  }

  lastOf({ name }: TrustDomain): LastBroadcast | undefined {
    return this.#last.get(name);
  }

  async close(): Promise<void> {
    await this.#inboxes.close();
  }

  #want(subject: string, interest: BundleInterest): void {
    const verifier = this.#verifierOf(interest);
    const known = this.#heard.get(subject);
    if (known === undefined || !known.interest.publisherId.equals(interest.publisherId)) {
      const kind = interest.via === 'relay' ? 'relay' : 'bundle';
      const take = (bytes: Uint8Array) => this.#take(bytes, interest);
      this.#heard.set(subject, { interest, verifier, listening: { subject, kind, take } });
    } else if (known.verifier !== verifier) {
      known.verifier = verifier;
      // What could not be verified before may be now.
      if (!this.#isTaken(verifier)) void this.#inboxes.reconsider(subject);
    }
  }

  #isTaken(bundle: Bundle | undefined): boolean {
    if (bundle === undefined) return false;
    return this.#taken.get(bundle.trustDomain.name) === bundleDigest(bundle);
  }

  #verifierOf({ publisherId }: BundleInterest): Bundle | undefined {
    return this.#options.trusted(publisherId.trustDomain);
  }

  async #take(bytes: Uint8Array, interest: BundleInterest): Promise<'accepted' | 'known'> {
    const { clock, trusted } = this.#options;
    const { trustDomain, publisherId, via } = interest;
    const bundle = this.#verifierOf(interest);
    if (bundle === undefined) {
      const message = `there is no bundle of ${publisherId.trustDomain.name} to verify it with`;
      throw new TrustplaneError('ERR_BUNDLE_MESSAGE_SIGNATURE', message);
    }
    const now = clock.now();
    const message = verifyBundleMessage(bytes, { trustDomain, publisherId, bundle, now });
    const isNew = checkSequence(message, trusted(trustDomain));
    if (isNew) {
      this.#taken.set(trustDomain.name, message.digest);
      await this.#options.take(message.bundle, interest, message.issuedAt);
    }
    this.#last.set(trustDomain.name, { sequence: message.sequence, receivedAt: now, via });
    return isNew ? 'accepted' : 'known';
  }
}

/**
 * True when the message brings a later bundle than the trusted one, false when it brings the same.
 * @throws TrustplaneError ERR_BUNDLE_MESSAGE_REPLAY, ERR_BUNDLE_MESSAGE_FORK, ERR_BUNDLE_MESSAGE_JUMP
 */
function checkSequence({ bundle, sequence }: VerifiedBundleMessage, trusted?: Bundle): boolean {
  const { trustDomain } = bundle;
  const there = trusted?.sequenceNumber ?? 0n;
  if (trusted !== undefined && bundleDigest(trusted) === bundleDigest(bundle)) return false;
  const isThere = trusted?.sequenceNumber !== undefined;
  const told = `the bundle of ${trustDomain.name} has the sequence number ${sequence}`;
  if (isThere && sequence < there) {
    throw new TrustplaneError('ERR_BUNDLE_MESSAGE_REPLAY', `${told}; there is ${there}`);
  }
  if (isThere && sequence === there) {
    throw new TrustplaneError('ERR_BUNDLE_MESSAGE_FORK', `${told}, as one with other keys`);
  }
  if (sequence - there <= MAX_SEQUENCE_LEAP) return true;
  const message = `${told}, more than 2^32 above ${there}; an administrator can reset it`;
  throw new TrustplaneError('ERR_BUNDLE_MESSAGE_JUMP', message);
}
