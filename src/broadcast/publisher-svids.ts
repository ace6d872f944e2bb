import type { Log } from '../ops/index.ts';
import { type Clock, generateP256KeyPair, messageOf, type SpiffeId } from '../spiffe/index.ts';
import type { PublishingAuthority } from './publishing-authority.ts';
import type { MessageSigner } from './signed-message.ts';

/** What is needed of the server's authorities. */
export interface PublisherCa {
  /** This server's, with their place in the bundle as it is seen here. */
  authorities(): readonly PublishingAuthority[];
  /** Has an X509-SVID signed by one of them. */
  issue(
    authorityId: string,
    request: {
      readonly spiffeId: SpiffeId;
      readonly publicKey: Uint8Array;
      readonly ttlSeconds: number;
      readonly dnsNames: readonly string[];
    },
  ): Promise<{
    readonly certificateChain: readonly Uint8Array[];
    /** Milliseconds since the epoch. */
    readonly expiresAt: number;
  }>;
}

/** Life of a publisher's SVID, and so of its messages. */
const TTL_SECONDS = 3_600;

/** Instants in milliseconds since the epoch. */
interface PublisherSvid extends MessageSigner {
  readonly issuedAt: number;
  readonly renewAt: number;
  readonly expiresAt: number;
}

/** Signers, and when the SVID of the first of them ends. */
export interface Signers {
  readonly signers: readonly MessageSigner[];
  readonly expiresAt: number;
}

/** The SVIDs of this server that sign messages, one under each authority, kept for half of their life. */
export class PublisherSvids {
  readonly #publisherId: SpiffeId;
  readonly #ca: PublisherCa;
  readonly #clock: Clock;
  readonly #log: Log;
  #held = new Map<string, PublisherSvid>();

  constructor(options: {
    readonly publisherId: SpiffeId;
    readonly ca: PublisherCa;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#publisherId = options.publisherId;
    this.#ca = options.ca;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /**
   * One for each that can sign now, in the same order. An authority that fails is left out while another is left.
   * @throws what `issue` throws
   */
  async of(authorities: readonly PublishingAuthority[]): Promise<Signers> {
    const svids: PublisherSvid[] = [];
    let failure: unknown;
    for (const { authorityId } of authorities) {
      try {
        svids.push(await this.#svidOf(authorityId));
      } catch (error) {
        failure = error;
        this.#log.warn({ authorityId, error: messageOf(error) }, 'an authority signs no messages');
      }
    }
    const [first] = svids;
    if (first === undefined) throw failure;
    return { signers: svids, expiresAt: first.expiresAt };
  }

  async #svidOf(authorityId: string): Promise<PublisherSvid> {
    const now = this.#clock.now();
    const held = this.#held.get(authorityId);
    if (held !== undefined && held.issuedAt <= now && now < held.renewAt) return held;
    const { publicKey, privateKey } = generateP256KeyPair();
    const request = {
      spiffeId: this.#publisherId,
      publicKey,
      ttlSeconds: TTL_SECONDS,
      dnsNames: [],
    };
    const { certificateChain, expiresAt } = await this.#ca.issue(authorityId, request);
    const renewAt = now + (expiresAt - now) / 2;
    const svid = { certificateChain, privateKey, issuedAt: now, renewAt, expiresAt };
    this.#forgetGone();
    this.#held.set(authorityId, svid);
    return svid;
  }

  #forgetGone(): void {
    const present = new Set(this.#ca.authorities().map(({ authorityId }) => authorityId));
    this.#held = new Map([...this.#held].filter(([authorityId]) => present.has(authorityId)));
  }
}
