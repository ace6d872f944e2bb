import { type Bundle, parseCertificate } from '../spiffe/index.ts';
import type { TrustedDomain } from './names.ts';

/**
 * Of the names of authorities that a TLS server lists when it asks for a certificate: a list above
 * 65,535 bytes ends every handshake (RFC 8446 §4.2.4), and Envoy lists those of a whole context.
 */
const MAX_NAME_BYTES = 64_000;
/** Before each name. */
const LENGTH_BYTES = 2;

export interface Fitting {
  readonly held: readonly TrustedDomain[];
  /** Trust domains whose authorities have no room. */
  readonly omitted: readonly string[];
}

/**
 * The trust domains whose authorities can be named together: the first one, which is the own, and of
 * the others those with the shortest lists, so that one with many authorities displaces nobody else.
 */
export function fitNames(domains: readonly TrustedDomain[]): Fitting {
  const [own, ...others] = domains;
  if (own === undefined || certificateBytes(domains) <= MAX_NAME_BYTES) {
    return { held: domains, omitted: [] };
  }
  const kept = new Set([own]);
  const seen = new Set(namesOf(own.bundle));
  let left = MAX_NAME_BYTES - bytesOf([...seen]);
  const sized = others.map((domain) => ({ domain, bytes: bytesOf(namesOf(domain.bundle)) }));
  for (const { domain } of sized.toSorted((one, other) => one.bytes - other.bytes)) {
    // A name that several have is listed once.
    const names = namesOf(domain.bundle).filter((name) => !seen.has(name));
    if (bytesOf(names) > left) continue;
    left -= bytesOf(names);
    for (const name of names) seen.add(name);
    kept.add(domain);
  }
  const omitted = others.filter((domain) => !kept.has(domain));
  return {
    held: domains.filter((domain) => kept.has(domain)),
    omitted: omitted.map(({ bundle }) => bundle.trustDomain.name),
  };
}

/** No name is longer than its certificate. */
function certificateBytes(domains: readonly TrustedDomain[]): number {
  let bytes = 0;
  for (const { bundle } of domains) {
    for (const { certificate } of bundle.x509Authorities) bytes += certificate.length;
  }
  return bytes;
}

const known = new WeakMap<Bundle, readonly string[]>();

/** The distinct names of its authorities, a character for each byte. */
function namesOf(bundle: Bundle): readonly string[] {
  const found = known.get(bundle);
  if (found !== undefined) return found;
  const names = bundle.x509Authorities.map(({ certificate }) =>
    Buffer.from(parseCertificate(certificate).subject.der).toString('latin1'),
  );
  const distinct = [...new Set(names)];
  known.set(bundle, distinct);
  return distinct;
}

function bytesOf(names: readonly string[]): number {
  return names.reduce((sum, { length }) => sum + LENGTH_BYTES + length, 0);
}
