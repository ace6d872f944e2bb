import { createHash } from 'node:crypto';
import {
  type Bundle,
  bundleDigest,
  type Clock,
  type Timer,
  type TrustMapSource,
} from '../spiffe/index.ts';
import type { Laggard } from './sync-request.ts';

/** All who are served have the bundle, save those who are not waited for. */
export interface BundleConfirmation {
  /** As `bundleDigest` makes it. */
  readonly bundleDigest: string;
  readonly laggards: readonly Laggard[];
}

export interface BundleConfirmationsOptions {
  readonly trust: Pick<TrustMapSource, 'current' | 'watch'>;
  readonly clock: Clock;
  /** Called for each bundle, and again when one of its laggards has it or is gone. */
  readonly onConfirmed: (confirmation: BundleConfirmation) => void;
}

/** One stream whose client is given the own bundle. */
export interface BundleHolder {
  /** All the client has is made with this bundle, and it said so. */
  has(bundle: Bundle): void;
  /** It may hold an earlier one, because. */
  lacks(reason: string): void;
  /** The client is gone, or has no bundle any more. */
  leave(): void;
}

const confirmationLimits = {
  /** How long a stream is waited for. */
  patienceMs: 10_000,
  /** What laggards make up for is told together. */
  tellMs: 100,
} as const;

interface Held {
  readonly name: string;
  /** The authorities of the bundle the client has; undefined when that is not known. */
  authorities: string | undefined;
  reason: string;
}

/**
 * Which of the streams of this process have the own bundle. A bundle is confirmed when all have it,
 * or after ten seconds, with the names of those that do not (design D4).
 */
export class BundleConfirmations {
  readonly #options: BundleConfirmationsOptions;
  readonly #holders = new Set<Held>();
  /** Holders that do not have the present bundle. */
  readonly #behind = new Set<Held>();
  /** Those of them that were named. */
  #named: Set<Held> = new Set();
  readonly #stop: () => void;
  #digest: string;
  #authorities: string;
  #patience: Timer | undefined;
  #telling: Timer | undefined;

  constructor(options: BundleConfirmationsOptions) {
    this.#options = options;
    const { own } = options.trust.current();
    this.#digest = bundleDigest(own);
    this.#authorities = authoritiesOf(own);
    this.#wait();
    this.#stop = options.trust.watch((trust) => this.#follow(trust.own));
  }

  /** A stream was given the own bundle for the first time. `name` tells an operator which it is. */
  join(name: string): BundleHolder {
    const held: Held = { name, authorities: undefined, reason: 'has not answered' };
    this.#holders.add(held);
    this.#behind.add(held);
    return {
      has: (bundle) => this.#judge(held, authoritiesOf(bundle)),
      lacks: (reason) => {
        held.reason = reason;
        this.#judge(held, undefined);
      },
      leave: () => {
        this.#holders.delete(held);
        this.#release(held);
      },
    };
  }

  close(): void {
    this.#stop();
    this.#patience?.cancel();
    this.#telling?.cancel();
  }

  #follow(own: Bundle): void {
    const digest = bundleDigest(own);
    if (digest === this.#digest) return;
    this.#digest = digest;
    this.#authorities = authoritiesOf(own);
    this.#behind.clear();
    this.#named.clear();
    for (const held of this.#holders) {
      if (held.authorities !== this.#authorities) this.#behind.add(held);
    }
    this.#wait();
  }

  #judge(held: Held, authorities: string | undefined): void {
    if (!this.#holders.has(held)) return;
    held.authorities = authorities;
    if (authorities === this.#authorities) this.#release(held);
    else this.#behind.add(held);
  }

  #release(held: Held): void {
    if (!this.#behind.delete(held)) return;
    if (this.#patience !== undefined && this.#behind.size === 0) this.#tell();
    if (this.#named.delete(held)) this.#tellSoon();
  }

  /** In the next turn at the earliest, when those who follow the trust map have passed the bundle on. */
  #wait(): void {
    const { clock } = this.#options;
    this.#telling?.cancel();
    this.#telling = undefined;
    this.#patience?.cancel();
    const { patienceMs } = confirmationLimits;
    this.#patience = clock.setTimer(patienceMs, () => this.#tell());
    if (this.#behind.size > 0) return;
    this.#telling = clock.setTimer(0, () => {
      this.#telling = undefined;
      if (this.#behind.size === 0) this.#tell();
    });
  }

  #tellSoon(): void {
    this.#telling ??= this.#options.clock.setTimer(confirmationLimits.tellMs, () => this.#tell());
  }

  #tell(): void {
    this.#patience?.cancel();
    this.#patience = undefined;
    this.#telling?.cancel();
    this.#telling = undefined;
    this.#named = new Set(this.#behind);
    const laggards = [...this.#behind].map(({ name: stream, reason }) => ({ stream, reason }));
    this.#options.onConfirmed({ bundleDigest: this.#digest, laggards });
  }
}

const known = new WeakMap<Bundle, string>();

/** X.509 authorities alone: that is all these streams are given of a bundle. */
function authoritiesOf(bundle: Bundle): string {
  const seen = known.get(bundle);
  if (seen !== undefined) return seen;
  const hashes = bundle.x509Authorities.map(({ certificate }) =>
    createHash('sha256').update(certificate).digest('base64'),
  );
  const text = hashes.sort().join(' ');
  known.set(bundle, text);
  return text;
}
