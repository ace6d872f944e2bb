import { createHash } from 'node:crypto';
import { type Bundle, bundleDigest } from '../spiffe/index.ts';

/** Confirmations may be about one of so many bundles. */
const MAX_BUNDLES = 64;

/** Which X.509 authorities stood in each of the last bundles, by the digests that agents confirm. */
export class BundleHistory {
  /** The oldest first. */
  readonly #bundles = new Map<string, ReadonlySet<string>>();
  #present = '';

  /** The digest of the last bundle. */
  get present(): string {
    return this.#present;
  }

  add(bundle: Bundle): void {
    this.#present = bundleDigest(bundle);
    const authorities = bundle.x509Authorities.map(({ certificate }) => fingerprint(certificate));
    this.#bundles.delete(this.#present);
    this.#bundles.set(this.#present, new Set(authorities));
    for (const oldest of this.#bundles.keys()) {
      if (this.#bundles.size <= MAX_BUNDLES) break;
      this.#bundles.delete(oldest);
    }
  }

  /** Tells bundles with the authority (DER) from others, and from what was no bundle. */
  holding(certificate: Uint8Array): (digest: string | undefined) => boolean {
    const authority = fingerprint(certificate);
    return (digest = '') => this.#bundles.get(digest)?.has(authority) === true;
  }
}

function fingerprint(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('base64');
}
