import { parseIdPattern } from '../authz/deciding.ts';
import { SpiffeId } from '../spiffe/index.ts';
import type { HttpAttributes } from './check-request.ts';
import type { ShownSvid } from './judge-svid.ts';
import type { PeerCertificates } from './peer-certificates.ts';
import { parseXfcc, type XfccElement } from './xfcc.ts';

/** Which proxies are believed about whom they speak for. */
export interface XfccOptions {
  /** Which element is the caller's, counted from the right; at least 1. */
  readonly trustedHops: number;
  /** Patterns for the SPIFFE IDs of the proxies, as policies have them. */
  readonly proxies: readonly string[];
}

const HEADER = 'x-forwarded-client-cert';

/**
 * Tells for whom a proxy speaks, by `x-forwarded-client-cert`. All but the elements that listed proxies
 * wrote may be forged, so elements are counted from the right, and each one before the caller's names a
 * listed proxy again. Never throws.
 */
export class ForwardedCallers {
  readonly #certificates: PeerCertificates;
  readonly #trustedHops: number;
  readonly #proxies: readonly { matches(id: string): boolean }[];

  /** @throws TrustplaneError ERR_POLICY_PATTERN */
  constructor({ trustedHops, proxies }: XfccOptions, certificates: PeerCertificates) {
    this.#certificates = certificates;
    this.#trustedHops = trustedHops;
    this.#proxies = proxies.map(parseIdPattern);
  }

  isProxy(id: SpiffeId): boolean {
    const text = id.toString();
    return this.#proxies.some((proxy) => proxy.matches(text));
  }

  /**
   * For whom a listed proxy speaks. Without the header `unauthenticated`, never the proxy itself: a
   * client without a certificate would else be taken for it.
   */
  callerOf(http: HttpAttributes, now: number): ShownSvid | 'unauthenticated' | 'bad_svid' {
    const [line, ...others] = http.lines(HEADER);
    if (line === undefined || line === '') return 'unauthenticated';
    const elements = others.length === 0 ? read(line) : [];
    const [caller, ...proxies] = elements.slice(-this.#trustedHops);
    if (caller === undefined || elements.length < this.#trustedHops) return 'bad_svid';
    const areListed = proxies.every((element) => {
      const proxy = this.#svidOf(element, now);
      return proxy !== undefined && this.isProxy(proxy.spiffeId);
    });
    return (areListed ? this.#svidOf(caller, now) : undefined) ?? 'bad_svid';
  }

  /** The one URI; where the certificate is there, the two must agree. */
  #svidOf({ uris, certificate }: XfccElement, now: number): ShownSvid | undefined {
    const spiffeId = uris.length === 1 ? leafIdOf(uris[0] ?? '') : undefined;
    if (spiffeId === undefined) return undefined;
    if (certificate === undefined) return { spiffeId, issuedAt: 0 };
    const read = this.#certificates.read(certificate, now);
    if (read?.spiffeId.equals(spiffeId) !== true) return undefined;
    return { spiffeId, issuedAt: read.issuedAt, serialNumber: read.leaf.serialNumber };
  }
}

function read(line: string): readonly XfccElement[] {
  try {
    return parseXfcc(line);
  } catch {
    return [];
  }
}

/** Undefined when the text is not the SPIFFE ID of a workload. */
export function leafIdOf(text: string): SpiffeId | undefined {
  try {
    const id = SpiffeId.parse(text);
    return id.isTrustDomainId ? undefined : id;
  } catch {
    return undefined;
  }
}
