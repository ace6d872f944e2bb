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
 * between them (SPIFFE Trust Domain and Bundle §2, §6.2): a reason to warn on import. With `isNews`,
 * those alone that stand in a bundle of which it is true.
 * @throws TrustplaneError ERR_CERTIFICATE
 */
export function findSharedKeys(
  bundles: readonly Bundle[],
  isNews: (bundle: Bundle) => boolean = () => true,
): SharedKey[] {
  const places = new Map<string, Set<string>>();
  for (const bundle of bundles) {
    if (isNews(bundle))
      for (const { fingerprint } of keysOf(bundle)) places.set(fingerprint, new Set());
  }
  for (const bundle of bundles) {
    for (const { fingerprint, place } of keysOf(bundle)) places.get(fingerprint)?.add(place);
  }
  return [...places]
    .filter(([, { size }]) => size > 1)
    .map(([fingerprint, found]) => ({ fingerprint, places: [...found].sort() }));
}

interface PlacedKey {
  readonly fingerprint: string;
  readonly place: string;
}

const known = new WeakMap<Bundle, readonly PlacedKey[]>();

/** Computed once for each bundle: there may be thousands, of which one changes. */
function keysOf(bundle: Bundle): readonly PlacedKey[] {
  const found = known.get(bundle);
  if (found !== undefined) return found;
  const { trustDomain, x509Authorities, jwtAuthorities, witAuthorities } = bundle;
  const keyIn = (publicKey: Uint8Array, use: string): PlacedKey => ({
    fingerprint: createHash('sha256').update(publicKey).digest('hex'),
    place: `${trustDomain.name} ${use}`,
  });
  const keys = [
    ...x509Authorities.map(({ certificate }) =>
      keyIn(parseCertificate(certificate).publicKey, keyUses.x509),
    ),
    ...jwtAuthorities.map(({ publicKey }) => keyIn(publicKey, keyUses.jwt)),
    ...witAuthorities.map(({ publicKey }) => keyIn(publicKey, keyUses.wit)),
  ];
  known.set(bundle, keys);
  return keys;
}
