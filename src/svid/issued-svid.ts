import type { Bundle, RegistrationEntry, SpiffeId } from '../spiffe/index.ts';
import { authorityIndex } from './authority-index.ts';

/** An X509-SVID with its key, as the issuer made it for one entry. Immutable. */
export interface IssuedSvid {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
  /** Hex. */
  readonly serialNumber: string;
  /** By the issuer's clock, milliseconds since the epoch; see issueInstant. */
  readonly signedAt: number;
  /** When it came, milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly notBefore: number;
  readonly expiresAt: number;
  /** What of the entry it was made from; see profileOf. */
  readonly profile: string;
  /** The authority it is valid below; see AuthorityIndex. */
  readonly authority: string;
}

/** What of an entry goes into its X509-SVID: two entries with the same text need no new one. */
export function profileOf(entry: RegistrationEntry): string {
  return JSON.stringify([entry.spiffeId.toString(), entry.x509SvidTtlSeconds, entry.dnsNames]);
}

/**
 * True when a workload may be given the SVID: it is not expired, names what the entry names, and
 * its authority stands in the bundle that goes out with it.
 */
export function isServable(
  entry: RegistrationEntry,
  svid: IssuedSvid,
  own: Bundle,
  now: number,
): boolean {
  return (
    svid.expiresAt > now &&
    svid.spiffeId.equals(entry.spiffeId) &&
    authorityIndex(own).has(svid.authority)
  );
}
