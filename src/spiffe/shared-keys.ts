import { createHash } from 'node:crypto';
import type { Bundle } from './bundle.ts';
import { keyUses } from './bundle-document.ts';
import { parseCertificate } from './certificate.ts';

/** A public key that stands in more than one place: under two trust domains, or for two kinds of SVIDs. */
export interface SharedKey {
  /** SHA-256 of the SubjectPublicKeyInfo, hex. */
  readonly fingerprint: string;
  /** For example `a.test x509-svid`; sorted, at least two. */
  readonly places: readonly string[];
}

/**
 * Finds keys that serve more than one trust domain or kind of SVID, which weakens the isolation
 * between them (SPIFFE Trust Domain and Bundle §2, §6.2): a reason to warn on import.
 * @throws TrustplaneError ERR_CERTIFICATE
 */
export function findSharedKeys(bundles: Iterable<Bundle>): SharedKey[] {
  const places = new Map<string, Set<string>>();
  const add = (publicKey: Uint8Array, place: string): void => {
    const fingerprint = createHash('sha256').update(publicKey).digest('hex');
    const known = places.get(fingerprint);
    if (known === undefined) places.set(fingerprint, new Set([place]));
    else known.add(place);
  };
  for (const { trustDomain, x509Authorities, jwtAuthorities, witAuthorities } of bundles) {
    for (const { certificate } of x509Authorities) {
      add(parseCertificate(certificate).publicKey, `${trustDomain.name} ${keyUses.x509}`);
    }
    for (const { publicKey } of jwtAuthorities)
      add(publicKey, `${trustDomain.name} ${keyUses.jwt}`);
    for (const { publicKey } of witAuthorities)
      add(publicKey, `${trustDomain.name} ${keyUses.wit}`);
  }
  return [...places]
    .filter(([, { size }]) => size > 1)
    .map(([fingerprint, found]) => ({ fingerprint, places: [...found].sort() }));
}
