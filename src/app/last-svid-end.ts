import { type Bundle, parseCertificate } from '../spiffe/index.ts';

/** The longest life an entry may give an SVID. */
const LONGEST_LIFE_MS = 365 * 86_400_000;

/**
 * By when every SVID that was issued until `now` has ended, milliseconds since the epoch: none outlives
 * the authorities of its bundle.
 */
export function lastSvidEnd({ x509Authorities, jwtAuthorities }: Bundle, now: number): number {
  const ends = [
    ...x509Authorities.map(({ certificate }) => parseCertificate(certificate).notAfter),
    ...jwtAuthorities.map(({ expiresAt }) => expiresAt ?? Number.POSITIVE_INFINITY),
  ];
  return Math.min(Math.max(now, ...ends), now + LONGEST_LIFE_MS);
}
