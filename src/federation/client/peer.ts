import type { Log } from '../../ops/index.ts';
import {
  type Bundle,
  bundleDigest,
  bundlesEqual,
  type Clock,
  messageOf,
  type Timer,
  type TrustDomain,
  TrustplaneError,
} from '../../spiffe/index.ts';
import type { FederationRelationship } from '../relationship.ts';
import type { Presented } from './connect-endpoint.ts';
import type { EndpointTrust } from './endpoint-trust.ts';
import { type FetchedBundle, fetchBundle } from './fetch-bundle.ts';
import type { FetchOutcome } from './fetch-metrics.ts';
import type { Lane } from './lane.ts';
import { describeChain, type PeerStatus } from './peer-status.ts';
import { pollDelayMs } from './poll-delay.ts';
import type { TrustChain } from './trust-chain.ts';

/** What all peers share. */
export interface PeerGround {
  /** The bundle that is trusted now, of the own trust domain too. */
  bundleOf(trustDomain: TrustDomain): Bundle | undefined;
  /**
   * Keeps a fetched bundle while the relationship lasts; gives back what is kept.
   * @throws TrustplaneError ERR_BUNDLE_SEQUENCE, ERR_FETCH_ENDED, …
   */
  accept(bundle: Bundle): Promise<Bundle>;
  trustChainOf(relationship: FederationRelationship): TrustChain;
  isMine(): boolean;
  count(outcome: FetchOutcome): void;
  readonly maxRedirects: number;
  /** From 0 to 1. */
  random(): number;
  readonly quickLane: Lane;
  readonly slowLane: Lane;
  readonly clock: Clock;
  readonly log: Log;
}

/** Asks one endpoint again and again, until it ends. */
export class Peer {
  readonly relationship: FederationRelationship;
  readonly #ground: PeerGround;
  readonly #ending = new AbortController();
  #status: Omit<PeerStatus, 'trustDomain' | 'sequence'> = {
    lastAttemptAt: undefined,
    lastSuccessAt: undefined,
    lastError: undefined,
    etag: undefined,
    nextAttemptAt: undefined,
    chain: [],
  };
  /** Of the bundle that came with the ETag. */
  #digest: string | undefined;
  /** By which the endpoint was judged last. */
  #judgedBy: Bundle | undefined;
  #attempt: Promise<Bundle> | undefined;
  #timer: Timer | undefined;
  /** One more with each plan: what waits in a lane for an older one goes. */
  #plan = 0;

  constructor(relationship: FederationRelationship, ground: PeerGround) {
    this.relationship = relationship;
    this.#ground = ground;
  }

  get status(): PeerStatus {
    const { trustDomain } = this.relationship;
    const sequence = this.#ground.bundleOf(trustDomain)?.sequenceNumber;
    return { trustDomain, sequence, ...this.#status };
  }

  get isFailing(): boolean {
    return this.#status.lastError !== undefined;
  }

  /** True while it failed by what another bundle of the endpoint's trust domain would change. */
  get isBlocked(): boolean {
    const { profile } = this.relationship;
    if (profile.type === 'https_web' || !this.isFailing) return false;
    return this.#ground.bundleOf(profile.endpointSpiffeId.trustDomain) !== this.#judgedBy;
  }

  /** Asks as soon as there is room. Those that let others wait before wait for each other. */
  poll(): void {
    const plan = this.#replan();
    if (!this.#ground.isMine()) return this.#sleep();
    this.#status = { ...this.#status, nextAttemptAt: this.#ground.clock.now() };
    const code = this.#status.lastError?.code;
    const isSlow = code === 'ERR_FETCH_TIMEOUT' || code === 'ERR_FETCH_UNREACHABLE';
    const lane = isSlow ? this.#ground.slowLane : this.#ground.quickLane;
    void lane.run(async () => {
      if (plan === this.#plan) await this.refresh().catch(() => undefined);
    });
  }

  /** Asks now, unless it is being asked. @throws TrustplaneError ERR_FETCH_*, … as `fetchBundle` and `accept` */
  refresh(): Promise<Bundle> {
    this.#attempt ??= this.#run().finally(() => {
      this.#attempt = undefined;
      this.#sleep();
    });
    return this.#attempt;
  }

  /** Resolves when nothing is under way any more. */
  async end(): Promise<void> {
    this.#replan();
    const message = `the relationship with ${this.relationship.trustDomain.name} was changed or ended`;
    this.#ending.abort(new TrustplaneError('ERR_FETCH_ENDED', message));
    await this.#attempt?.catch(() => undefined);
  }

  #replan(): number {
    this.#timer?.cancel();
    return ++this.#plan;
  }

  /** Until the next poll is due, whatever came of this one (SPIFFE Federation §6.2), unless it was judged by what has changed since. */
  #sleep(): void {
    this.#replan();
    if (this.#ending.signal.aborted) return;
    const ground = this.#ground;
    const { clock } = ground;
    const bundle = ground.bundleOf(this.relationship.trustDomain);
    const isMine = ground.isMine();
    const delayMs = isMine && this.isBlocked ? 0 : pollDelayMs(bundle, ground.random());
    const nextAttemptAt = isMine ? clock.now() + delayMs : undefined;
    this.#status = { ...this.#status, nextAttemptAt };
    this.#timer = clock.setTimer(delayMs, () => this.poll());
  }

  async #run(): Promise<Bundle> {
    const { clock } = this.#ground;
    this.#status = { ...this.#status, lastAttemptAt: clock.now() };
    const seen: Presented[] = [];
    try {
      const before = this.#ground.bundleOf(this.relationship.trustDomain);
      const fetched = await this.#fetch(before, seen);
      const bundle = await this.#accept(fetched, before);
      this.#status = { ...this.#status, lastSuccessAt: clock.now(), lastError: undefined };
      const isNews = before === undefined || !bundlesEqual(before, bundle);
      this.#ground.count(isNews ? 'changed' : 'unchanged');
      this.#report(seen, isNews ? fetched : undefined, bundle);
      return bundle;
    } catch (error) {
      this.#fail(error, seen);
      throw error;
    }
  }

  async #fetch(before: Bundle | undefined, seen: Presented[]): Promise<FetchedBundle> {
    const { trustDomain, bundleEndpointUrl: url } = this.relationship;
    const isKnown = before !== undefined && this.#digest === bundleDigest(before);
    return await fetchBundle({
      ...this.#ground,
      trustDomain,
      url,
      trust: this.#trust(),
      etag: isKnown ? this.#status.etag : undefined,
      signal: this.#ending.signal,
      onPresented: (presented) => {
        seen.push(presented);
        this.#status = { ...this.#status, chain: describeChain(presented.chain) };
      },
    });
  }

  /** The latest bundle of the endpoint's trust domain counts (§5.2.2.4). @throws TrustplaneError ERR_FETCH_NO_BUNDLE */
  #trust(): EndpointTrust {
    const { profile, webCa } = this.relationship;
    if (profile.type === 'https_web') return { type: 'https_web', ca: webCa };
    const { endpointSpiffeId } = profile;
    const bundle = this.#ground.bundleOf(endpointSpiffeId.trustDomain);
    this.#judgedBy = bundle;
    if (bundle !== undefined) return { ...profile, bundle };
    const { name } = endpointSpiffeId.trustDomain;
    const message = `there is no bundle of ${name} yet to verify ${endpointSpiffeId.toString()} with; set one (bundle set --id ${name})`;
    throw new TrustplaneError('ERR_FETCH_NO_BUNDLE', message);
  }

  async #accept({ document, etag }: FetchedBundle, before: Bundle | undefined): Promise<Bundle> {
    if (document === undefined && before !== undefined) return before;
    if (document === undefined) throw new Error('nothing was fetched');
    this.#ending.signal.throwIfAborted();
    const bundle = await this.#ground.accept(document.bundle);
    this.#digest = bundleDigest(bundle);
    this.#status = { ...this.#status, etag };
    return bundle;
  }

  /** Every fetch leaves a trace of whom it was believed by (§7.6). */
  #report(seen: readonly Presented[], news: FetchedBundle | undefined, bundle: Bundle): void {
    const { log } = this.#ground;
    const facts = this.#factsOf(seen);
    const { trustDomain, sequenceNumber } = bundle;
    const ignoredKeys = news?.document?.ignoredKeys ?? [];
    if (ignoredKeys.length > 0) {
      const fields = { trustDomain: trustDomain.name, ignoredKeys: ignoredKeys.slice(0, 10) };
      log.warn(fields, 'keys of a fetched bundle are ignored');
    }
    const fields = { ...facts, sequence: sequenceNumber?.toString() };
    log.info(fields, news === undefined ? 'bundle fetched, unchanged' : 'bundle fetched, changed');
  }

  #fail(error: unknown, seen: readonly Presented[]): void {
    const isKnown = error instanceof TrustplaneError;
    if (isKnown && error.code === 'ERR_FETCH_ENDED') return;
    const lastError = {
      code: isKnown ? error.code : ('ERR_FETCH_ANSWER' as const),
      message: messageOf(error),
    };
    this.#status = { ...this.#status, lastError };
    this.#ground.count('failed');
    const fields = { ...this.#factsOf(seen), code: lastError.code, error: lastError.message };
    this.#ground.log.warn(fields, 'bundle not fetched');
  }

  #factsOf(seen: readonly Presented[]): object {
    const { trustDomain, bundleEndpointUrl, profile } = this.relationship;
    const { trustDomains, end, isLong } = this.#ground.trustChainOf(this.relationship);
    return {
      trustDomain: trustDomain.name,
      bundleEndpointUrl,
      profile: profile.type,
      servers: seen.map(({ url, address, chain }) => ({
        url,
        address,
        chain: describeChain(chain),
      })),
      believedThrough: [...trustDomains.slice(1), end],
      ...(isLong && { isLongChain: true }),
    };
  }
}
