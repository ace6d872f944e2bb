import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  bundleDigest,
  type Clock,
  messageOf,
  type SpiffeId,
  type Timer,
} from '../spiffe/index.ts';
import type { BroadcastLink } from './broadcast-link.ts';
import type { BroadcastMetrics } from './broadcast-metrics.ts';
import type { BroadcastStream } from './broadcast-stream.ts';
import { serverIdOf } from './bundle-interest.ts';
import {
  signBundleMessage,
  type VerifiedBundleMessage,
  verifyBundleMessage,
} from './bundle-message.ts';
import type { Listening } from './inbox.ts';
import { Inboxes } from './inboxes.ts';
import { decidePublish } from './publish-decision.ts';
import type { PublisherCa, PublisherSvids, Signers } from './publisher-svids.ts';
import { type PublishingAuthority, receivableAuthorities } from './publishing-authority.ts';
import { sendMessage } from './send-message.ts';
import { bundleSubject } from './subjects.ts';

export interface OwnBundlePublisherParts {
  readonly link: BroadcastLink;
  readonly stream: BroadcastStream;
  readonly ownBundle: {
    current(): Bundle;
    watch(listener: (bundle: Bundle) => void): () => void;
  };
  readonly ca: Pick<PublisherCa, 'authorities'>;
  readonly svids: PublisherSvids;
  readonly clock: Clock;
  /** Limited. */
  readonly log: Log;
  readonly metrics: BroadcastMetrics;
}

/** Longest sleep, so that a stream that lost the bundle, or a clock that jumped, is noticed. */
const MAX_WAIT_MS = 60_000;
/** When it is looked whether what was published is there; each time in vain, twice as long. */
const FIRST_CHECK_MS = 2_000;

/** Keeps the own bundle published as it is in the store (design D5); other servers of the trust domain do the same. */
export class OwnBundlePublisher {
  readonly #parts: OwnBundlePublisherParts;
  readonly #subject: string;
  readonly #serverId: SpiffeId;
  readonly #inboxes: Inboxes;
  readonly #stops: (() => void)[];
  /** What was heard of the bundle as it is, of the one before, and of a later one. */
  #said: VerifiedBundleMessage | undefined;
  #before: Bundle | undefined;
  #ahead: VerifiedBundleMessage | undefined;
  #isStored = false;
  /** What was published before is known, if anybody knows. */
  #hasLooked = false;
  /** What was published last here, and when that may be done again. */
  #attempt = { digest: '', againAt: 0, checkMs: FIRST_CHECK_MS };
  #timer: Timer | undefined;
  #work: Promise<void> | undefined;
  #check: Promise<void> | undefined;
  #isPoked = false;
  #isClosed = false;
  #fault: string | undefined = 'not published yet';

  constructor(parts: OwnBundlePublisherParts) {
    const { link, ownBundle } = parts;
    const { trustDomain } = ownBundle.current();
    this.#parts = parts;
    this.#subject = bundleSubject(trustDomain);
    this.#serverId = serverIdOf(trustDomain);
    this.#inboxes = new Inboxes(parts);
    this.#stops = [
      ownBundle.watch(() => this.#poke()),
      link.watch((isConnected) => {
        if (isConnected) this.#connect();
      }),
    ];
    const listening: Listening = {
      subject: this.#subject,
      kind: 'own',
      take: (bytes) => this.#hear(bytes),
      onRefused: () => this.#doubt(),
    };
    void this.#inboxes.set([listening]);
    if (link.isConnected) this.#connect();
  }

  /** Why the bundle is not published as it is; undefined: it is. */
  get fault(): string | undefined {
    return this.#parts.link.isConnected ? this.#fault : 'there is no connection to NATS';
  }

  /** Who signs for this server now; undefined while receivers can have none of its authorities. */
  async signers(): Promise<Signers | undefined> {
    const { ca, ownBundle, clock, svids } = this.#parts;
    const bundle = ownBundle.current();
    const own = ca.authorities();
    const authorities = receivableAuthorities(own, bundle, this.#before, clock.now());
    return authorities.length === 0 ? undefined : await svids.of(authorities);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#timer?.cancel();
    await this.#inboxes.close();
    await this.#check;
    await this.#work;
  }

  /** What was published while the connection was away may have reached nobody. */
  #connect(): void {
    this.#isStored = false;
    this.#attempt = { digest: '', againAt: 0, checkMs: FIRST_CHECK_MS };
    this.#lookUp();
  }

  /** Looks at what there is to do; never throws. */
  #poke(): void {
    this.#isPoked = true;
    if (this.#isClosed) return;
    this.#work ??= this.#run().finally(() => {
      this.#work = undefined;
    });
  }

  async #run(): Promise<void> {
    while (this.#isPoked && !this.#isClosed) {
      this.#isPoked = false;
      this.#timer?.cancel();
      const until = await this.#step();
      const waitMs = Math.min(until - this.#parts.clock.now(), MAX_WAIT_MS);
      if (this.#parts.link.isConnected && !this.#isClosed) this.#sleep(waitMs);
    }
  }

  #sleep(waitMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.clock.setTimer(waitMs, () => this.#lookUp());
  }

  /** What late readers get is compared with what they should, and what is due is done. */
  #lookUp(): void {
    this.#check ??= this.#catchUp().finally(() => {
      this.#check = undefined;
      this.#hasLooked = true;
      this.#poke();
    });
  }

  /** Does what is due; when to look again. */
  async #step(): Promise<number> {
    const { link, ca, ownBundle, clock } = this.#parts;
    if (!link.isConnected || !this.#hasLooked) return Number.POSITIVE_INFINITY;
    const bundle = ownBundle.current();
    const digest = bundleDigest(bundle);
    // What another server said may be what is seen of the store only now.
    if (this.#ahead?.digest === digest) this.#note(this.#ahead);
    const decision = decidePublish({
      bundle,
      digest,
      said: this.#said,
      before: this.#before,
      ahead: this.#ahead,
      isStored: this.#isStored,
      own: ca.authorities(),
      now: clock.now(),
    });
    const { digest: tried, againAt } = this.#attempt;
    if (decision.type === 'wait') {
      this.#fault = decision.why;
      if (this.#parts.stream.fault === undefined) return decision.until;
      // Without a stream it is said again and again, for those who come late.
      return Math.min(decision.until, Math.max(againAt, clock.now() + FIRST_CHECK_MS));
    }
    if (tried === digest && clock.now() < againAt) return againAt;
    return await this.#publish(bundle, digest, decision.authorities);
  }

  /** When to see whether it arrived. */
  async #publish(
    bundle: Bundle,
    digest: string,
    authorities: readonly PublishingAuthority[],
  ): Promise<number> {
    const { clock, log, svids } = this.#parts;
    const before = this.#attempt.digest === digest ? this.#attempt.checkMs : FIRST_CHECK_MS / 2;
    const checkMs = Math.min(before * 2, MAX_WAIT_MS);
    try {
      const { signers, expiresAt } = await svids.of(authorities);
      const issuedAt = clock.now();
      const bytes = signBundleMessage({ bundle, issuedAt, expiresAt, signers });
      sendMessage(this.#parts, { subject: this.#subject, kind: 'own', bytes });
      this.#isStored = false;
      this.#fault = undefined;
    } catch (error) {
      this.#fault = messageOf(error);
      log.error({ error: this.#fault }, 'the own bundle was not broadcast');
    }
    const againAt = clock.now() + checkMs;
    this.#attempt = { digest, againAt, checkMs };
    return againAt;
  }

  /** Never throws. */
  async #catchUp(): Promise<void> {
    const { stream } = this.#parts;
    await stream.ensure();
    // Who does not answer holds nothing that could be relied on.
    const latest = async () => await stream.latest(this.#subject).catch(() => undefined);
    const bytes = stream.fault === undefined ? await latest() : undefined;
    const held = bytes && this.#read(bytes);
    this.#isStored = held !== undefined && this.#note(held) === 'present';
  }

  #hear(bytes: Uint8Array): 'accepted' | 'known' {
    const isKnown = this.#said?.digest === bundleDigest(this.#parts.ownBundle.current());
    const standing = this.#note(this.#verify(bytes));
    // Another server is behind, and late readers get what it published.
    if (standing === 'behind') this.#doubt();
    if (standing !== 'present') return 'accepted';
    if (this.#parts.stream.fault !== undefined) this.#isStored = true;
    if (isKnown) return 'known';
    this.#warm();
    this.#poke();
    return 'accepted';
  }

  /** What comes next can be signed by all that stand in this one. */
  #warm(): void {
    this.signers().catch(() => {});
  }

  #note(message: VerifiedBundleMessage): 'present' | 'ahead' | 'behind' {
    const present = this.#parts.ownBundle.current();
    const sequence = present.sequenceNumber ?? 0n;
    if (message.digest === bundleDigest(present)) {
      if (message.issuedAt >= (this.#said?.issuedAt ?? 0)) this.#said = message;
      this.#before = present;
      return 'present';
    }
    if (message.sequence > sequence) {
      if (message.issuedAt >= (this.#ahead?.issuedAt ?? 0)) this.#ahead = message;
      return 'ahead';
    }
    // At the start it is all that is known; later the store's own is believed alone.
    this.#before ??= message.bundle;
    return 'behind';
  }

  /** Late readers may get something else than the bundle. */
  #doubt(): void {
    if (this.#isClosed || !this.#parts.link.isConnected) return;
    this.#sleep(FIRST_CHECK_MS);
  }

  #read(bytes: Uint8Array): VerifiedBundleMessage | undefined {
    try {
      return this.#verify(bytes);
    } catch {
      return undefined;
    }
  }

  #verify(bytes: Uint8Array): VerifiedBundleMessage {
    const { ownBundle, clock } = this.#parts;
    const bundle = ownBundle.current();
    const { trustDomain } = bundle;
    const publisherId = this.#serverId;
    return verifyBundleMessage(bytes, { trustDomain, publisherId, bundle, now: clock.now() });
  }
}
