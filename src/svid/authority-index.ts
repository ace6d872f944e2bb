import { createHash } from 'node:crypto';
import {
  type Bundle,
  TrustplaneError,
  verifyX509Svid,
  type X509Authority,
  type X509Svid,
} from '../spiffe/index.ts';
import { recall } from './recall.ts';

/** The X.509 authorities of one bundle, by key (SHA-256 of the certificate, hex). Immutable. */
export class AuthorityIndex {
  readonly #bundle: Bundle;
  readonly #members: ReadonlyMap<string, X509Authority>;

  constructor(bundle: Bundle) {
    this.#bundle = bundle;
    this.#members = new Map(
      bundle.x509Authorities.map((authority) => [
        createHash('sha256').update(authority.certificate).digest('hex'),
        authority,
      ]),
    );
  }

  has(key: string): boolean {
    return this.#members.has(key);
  }

  isTainted(key: string): boolean {
    return this.#members.get(key)?.tainted === true;
  }

  /**
   * The key of the authority below which the SVID is valid now.
   * @throws TrustplaneError ERR_X509_*: there is none, and why
   */
  find(svid: X509Svid, now: number): string {
    for (const [key, authority] of this.#members) {
      if (isValid(svid, { ...this.#bundle, x509Authorities: [authority] }, now)) return key;
    }
    verifyX509Svid(svid, this.#bundle, now);
    throw new TrustplaneError('ERR_INTERNAL', 'an SVID is valid below no single authority');
  }
}

const indexes = new WeakMap<Bundle, AuthorityIndex>();

/** The index of a bundle, made once. */
export function authorityIndex(bundle: Bundle): AuthorityIndex {
  return recall(indexes, bundle, () => new AuthorityIndex(bundle));
}

function isValid(svid: X509Svid, bundle: Bundle, now: number): boolean {
  try {
    verifyX509Svid(svid, bundle, now);
    return true;
  } catch {
    return false;
  }
}
