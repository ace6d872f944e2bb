import {
  type Bundle,
  type Clock,
  parseX509Svid,
  verifyX509Svid,
  type X509Svid,
} from '../spiffe/index.ts';

/** However little changes, the whole chain is verified again after this time. */
const VERIFIED_FOR_MS = 60_000;
const MILLISECONDS_PER_SECOND = 1000;

/** What SVIDs are held against, live. */
export interface SvidVerifier {
  /** The bundle of the own trust domain; a new object for each change. */
  bundle(): Bundle;
  readonly clock: Clock;
}

/** The SVID of a connected peer. It was good when the connection was made; `verify` says whether it still is. */
export class CheckedSvid {
  readonly svid: X509Svid;
  readonly #verifier: SvidVerifier;
  #bundle: Bundle | undefined;
  #verifiedAt = 0;
  #verifiedUntil = 0;

  /**
   * @param chain DER, leaf first
   * @throws TrustplaneError ERR_CERTIFICATE, ERR_X509_*
   */
  constructor(chain: readonly Uint8Array[], verifier: SvidVerifier) {
    this.svid = parseX509Svid(chain);
    this.#verifier = verifier;
    this.verify();
  }

  /**
   * Cheap while the bundle is the same and nothing has expired.
   * @throws TrustplaneError ERR_X509_*, such as ERR_X509_EXPIRED, or ERR_X509_UNTRUSTED once its
   * authority is no longer in the bundle
   */
  verify(): void {
    const bundle = this.#verifier.bundle();
    const now = this.#verifier.clock.now();
    const isKnown = now >= this.#verifiedAt && now < this.#verifiedUntil;
    if (isKnown && bundle === this.#bundle) return;
    this.#verifiedUntil = 0;
    verifyX509Svid(this.svid, bundle, now);
    this.#bundle = bundle;
    this.#verifiedAt = now;
    this.#verifiedUntil = Math.min(now + VERIFIED_FOR_MS, expiryOf(this.svid));
  }
}

/** When the first certificate of the chain is no longer valid, in milliseconds. */
function expiryOf({ leaf, intermediates }: X509Svid): number {
  const ends = [leaf, ...intermediates].map(({ notAfter }) => notAfter + MILLISECONDS_PER_SECOND);
  return Math.min(...ends);
}
