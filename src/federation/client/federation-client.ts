import type { Log, Metrics } from '../../ops/index.ts';
import {
  type Bundle,
  type Clock,
  type TrustDomain,
  type TrustMapSource,
  TrustplaneError,
} from '../../spiffe/index.ts';
import type { Duty } from '../../store/index.ts';
import { withdraw } from '../end-relationship.ts';
import type { ForeignBundles } from '../foreign-bundles.ts';
import type { FederationRelationship } from '../relationship.ts';
import type { Relationships } from '../relationships.ts';
import { fetchLimits } from './fetch-limits.ts';
import { createFetchMetrics } from './fetch-metrics.ts';
import { Lane } from './lane.ts';
import { Peer, type PeerGround } from './peer.ts';
import type { PeerStatus } from './peer-status.ts';
import { trustChainOf } from './trust-chain.ts';

export interface FederationClientOptions {
  readonly relationships: Pick<Relationships, 'all' | 'get' | 'require' | 'watch' | 'isStored'>;
  readonly foreignBundles: Pick<ForeignBundles, 'get' | 'set' | 'delete' | 'watch'>;
  /** For endpoints of the own trust domain. */
  readonly trust: Pick<TrustMapSource, 'current'>;
  readonly clock: Clock;
  readonly random: (bytes: number) => Uint8Array;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Without it everything is this server's to do. */
  readonly duty?: Duty;
  /** Default 3; 0: none is followed. */
  readonly maxRedirects?: number;
  /** Endpoints that are asked at once; default 64, and 16 of those that let others wait before. */
  readonly lanes?: { readonly quick: number; readonly slow: number };
}

/**
 * Keeps the bundles of foreign trust domains as their endpoints have them: a new or changed relationship
 * is asked for at once, then each at its own refresh hint. No peer waits for another.
 */
export class FederationClient {
  readonly #options: FederationClientOptions;
  readonly #ground: PeerGround;
  readonly #peers = new Map<string, Peer>();
  readonly #stops: readonly (() => void)[];

  constructor(options: FederationClientOptions) {
    const { relationships, foreignBundles, duty, clock, log, metrics, lanes } = options;
    this.#options = options;
    const own = options.trust.current().own.trustDomain;
    this.#ground = {
      bundleOf: (trustDomain) =>
        trustDomain.equals(own) ? options.trust.current().own : foreignBundles.get(trustDomain),
      accept: (bundle) => this.#accept(bundle),
      trustChainOf: (relationship) =>
        trustChainOf(relationship, own, (trustDomain) => relationships.get(trustDomain)),
      isMine: () => duty?.isMine() ?? true,
      count: createFetchMetrics(metrics, clock, this),
      maxRedirects: options.maxRedirects ?? fetchLimits.redirects,
      random: () => Buffer.from(options.random(4)).readUInt32BE() / 2 ** 32,
      quickLane: new Lane(lanes?.quick ?? 64),
      slowLane: new Lane(lanes?.slow ?? 16),
      clock,
      log,
    };
    this.#follow();
    this.#stops = [
      relationships.watch(() => this.#follow()),
      foreignBundles.watch(() => this.#unblock()),
      duty?.watch(() => this.#takeOver()) ?? (() => undefined),
    ];
  }

  /**
   * Fetches now, also where another server polls.
   * @throws TrustplaneError ERR_RELATIONSHIP_NOT_FOUND, ERR_FETCH_*, ERR_TLS_SERVER_ID, ERR_X509_*, ERR_BUNDLE*, ERR_JSON
   */
  async refresh(trustDomain: TrustDomain): Promise<Bundle> {
    this.#options.relationships.require(trustDomain);
    const peer = this.#peers.get(trustDomain.name);
    if (peer !== undefined) return await peer.refresh();
    throw new TrustplaneError('ERR_FETCH_ENDED', 'the server is stopping');
  }

  /** Undefined where there is no relationship. */
  status(trustDomain: TrustDomain): PeerStatus | undefined {
    return this.#peers.get(trustDomain.name)?.status;
  }

  /** In no order. */
  statuses(): readonly PeerStatus[] {
    return [...this.#peers.values()].map(({ status }) => status);
  }

  /** Those whose last fetch failed, in no order. */
  failing(): readonly PeerStatus[] {
    return [...this.#peers.values()].flatMap((peer) => (peer.isFailing ? [peer.status] : []));
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    const peers = [...this.#peers.values()];
    this.#peers.clear();
    await Promise.all(peers.map((peer) => peer.end()));
  }

  #follow(): void {
    const relationships = this.#options.relationships.all();
    const names = new Set(relationships.map(({ trustDomain }) => trustDomain.name));
    for (const name of this.#peers.keys()) if (!names.has(name)) this.#end(name);
    for (const relationship of relationships) {
      const { name } = relationship.trustDomain;
      if (this.#peers.get(name)?.relationship === relationship) continue;
      this.#end(name);
      this.#begin(relationship);
    }
  }

  #begin(relationship: FederationRelationship): void {
    const { isLong, trustDomains, end } = this.#ground.trustChainOf(relationship);
    if (isLong) {
      const fields = { trustDomain: relationship.trustDomain.name, trustDomains, end };
      this.#ground.log.warn(fields, 'a bundle is believed through a long chain of trust domains');
    }
    const peer = new Peer(relationship, this.#ground);
    this.#peers.set(relationship.trustDomain.name, peer);
    peer.poll();
  }

  #end(name: string): void {
    void this.#peers.get(name)?.end();
    this.#peers.delete(name);
  }

  /** An endpoint may be believed now. */
  #unblock(): void {
    for (const peer of this.#peers.values()) if (peer.isBlocked) peer.poll();
  }

  #takeOver(): void {
    for (const peer of this.#peers.values()) peer.poll();
  }

  /**
   * Asks the store after the bundle is written whether the relationship still stands: whoever ended it
   * in the meantime withdrew the bundle either before, and then it goes again here, or afterwards.
   */
  async #accept(bundle: Bundle): Promise<Bundle> {
    const { relationships, foreignBundles } = this.#options;
    const { trustDomain } = bundle;
    const kept = await foreignBundles.set(bundle);
    if (await relationships.isStored(trustDomain)) return kept;
    await withdraw(foreignBundles, trustDomain);
    const message = `the relationship with ${trustDomain.name} ended during the fetch`;
    throw new TrustplaneError('ERR_FETCH_ENDED', message);
  }
}
