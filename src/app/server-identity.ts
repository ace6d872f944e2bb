import type { X509Ca } from '../ca/index.ts';
import type { Log } from '../ops/index.ts';
import {
  type Clock,
  generateP256KeyPair,
  messageOf,
  parseX509Svid,
  SpiffeId,
  type Timer,
  type TrustDomain,
  type TrustMapSource,
  TrustplaneError,
  verifyX509Svid,
  type X509Svid,
} from '../spiffe/index.ts';
import type { TlsIdentity } from '../wire/index.ts';

const RETRY_MS = 1_000;
/** Longest sleep, so that a clock that jumped ahead or a machine that slept is noticed. */
const MAX_WAIT_MS = 60_000;

export interface ServerIdentityOptions {
  readonly trustDomain: TrustDomain;
  readonly ca: Pick<X509Ca, 'issueX509Svid'>;
  readonly trust: TrustMapSource;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the server presents: `spiffe://<trust domain>/spire/server`, with a new key for each SVID. */
export interface ServerIdentity {
  /** @throws TrustplaneError ERR_CA_EXPIRED when it has expired and could not be renewed */
  current(): TlsIdentity;
  /** Ends the renewal. */
  close(): Promise<void>;
}

interface Held {
  readonly identity: TlsIdentity;
  readonly svid: X509Svid;
  readonly issuedAt: number;
  /** Of the SVID. */
  readonly expiresAt: number;
}

/**
 * Has the first SVID issued, then renews it in the background at half of its life, and at once when
 * its authority is tainted or has left the bundle; when that fails, what is still valid stays in use.
 * @throws what `issueX509Svid` throws
 */
export async function openServerIdentity(options: ServerIdentityOptions): Promise<ServerIdentity> {
  const identity = new RenewedIdentity(options, await issue(options));
  identity.start();
  return identity;
}

class RenewedIdentity implements ServerIdentity {
  readonly #options: ServerIdentityOptions;
  #held: Held;
  /** The bundle as it is now holds the authority, untainted. */
  #isTrusted = true;
  #stopWatching: () => void = () => {};
  #timer: Timer | undefined;
  #renewing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: ServerIdentityOptions, held: Held) {
    this.#options = options;
    this.#held = held;
  }

  current(): TlsIdentity {
    if (this.#isDue()) this.#renew();
    const { identity, expiresAt } = this.#held;
    if (this.#options.clock.now() < expiresAt) return identity;
    throw new TrustplaneError(
      'ERR_CA_EXPIRED',
      `the SVID of the server expired at ${new Date(expiresAt).toISOString()} and is being renewed`,
    );
  }

  start(): void {
    this.#stopWatching = this.#options.trust.watch(() => {
      this.#judge();
      if (!this.#isTrusted) this.#renew();
    });
    this.#judge();
    this.#sleep();
  }

  #sleep(): void {
    if (this.#isClosed) return;
    const { clock } = this.#options;
    const delayMs = this.#isDue() ? RETRY_MS : this.#renewAt() - clock.now();
    this.#timer = clock.setTimer(Math.min(delayMs, MAX_WAIT_MS), () =>
      this.#isDue() ? this.#renew() : this.#sleep(),
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopWatching();
    this.#timer?.cancel();
    await this.#renewing;
  }

  #renewAt(): number {
    const { issuedAt, expiresAt } = this.#held;
    return issuedAt + (expiresAt - issuedAt) / 2;
  }

  #isDue(): boolean {
    const now = this.#options.clock.now();
    return now < this.#held.issuedAt || now >= this.#renewAt() || !this.#isTrusted;
  }

  #judge(): void {
    const { own } = this.#options.trust.current();
    const x509Authorities = own.x509Authorities.filter(({ tainted }) => !tainted);
    try {
      verifyX509Svid(this.#held.svid, { ...own, x509Authorities }, this.#options.clock.now());
      this.#isTrusted = true;
    } catch {
      this.#isTrusted = false;
    }
  }

  /** Never throws. */
  #renew(): void {
    if (this.#isClosed) return;
    this.#renewing ??= this.#attempt().finally(() => {
      this.#renewing = undefined;
      this.#sleep();
    });
  }

  async #attempt(): Promise<void> {
    this.#timer?.cancel();
    try {
      this.#held = await issue(this.#options);
      this.#judge();
    } catch (error) {
      const { log } = this.#options;
      log.warn({ error: messageOf(error) }, 'the SVID of the server was not renewed');
    }
  }
}

async function issue({ trustDomain, ca, clock }: ServerIdentityOptions): Promise<Held> {
  const issuedAt = clock.now();
  const { publicKey, privateKey } = generateP256KeyPair();
  const spiffeId = SpiffeId.of(trustDomain, '/spire/server');
  const request = { spiffeId, publicKey, ttlSeconds: 0, dnsNames: [] };
  const { certificateChain, expiresAt } = await ca.issueX509Svid(request);
  const svid = parseX509Svid(certificateChain);
  return { identity: { certificateChain, privateKey }, svid, issuedAt, expiresAt };
}
