import type { Bundle } from './bundle.ts';
import { type Certificate, parseCertificate, sameBytes } from './certificate.ts';
import { isSignedBy } from './certificate-signature.ts';
import { type Crl, crlLimits } from './crl.ts';

/** The CRLs that may be checked against, and how long that is so. */
export interface CrlCover {
  /** One for each authority of the bundle; or none, and nothing is checked. */
  readonly crls: readonly Crl[];
  /** Milliseconds since the epoch: by then it may be another. */
  readonly until: number;
  /** Why there is none although something is revoked. */
  readonly fault: string | undefined;
}

/** Before a CRL ends, those who have it must have heard that it is gone. */
const AHEAD_MS = 3_600_000;

/**
 * The CRLs of a trust domain, all or nothing. Who has one CRL checks the whole chain against CRLs, and refuses all
 * SVIDs of an authority without a good one (SDS-19); so one that is missing, not valid yet or about to end takes all
 * away. Where nothing is revoked there is nothing to check.
 */
export function coverWithCrls(own: Bundle, crls: readonly Crl[], now: number): CrlCover {
  const covering: Crl[] = [];
  const instants: number[] = [];
  let fault: string | undefined;
  for (const authority of authoritiesOf(own)) {
    // Whatever it signed has ended with it.
    if (authority.notAfter < now) continue;
    instants.push(authority.notAfter + 1);
    const good = crls.filter((crl) => isOf(crl, authority));
    instants.push(
      ...good.flatMap(({ thisUpdate, nextUpdate }) => [thisUpdate, nextUpdate - AHEAD_MS]),
    );
    const newest = good.filter((crl) => isValid(crl, now)).sort(byNumber)[0];
    if (newest !== undefined) covering.push(newest);
    else fault ??= `the authority ${authority.subject.text} has no CRL that is valid now`;
  }
  const until = Math.min(...instants.filter((instant) => instant > now));
  // A fault takes nothing away while there is nothing to be given.
  const named = fault === undefined ? covering : crls;
  if (named.every(({ count }) => count === 0)) return { crls: [], until, fault: undefined };
  fault ??= faultOfSize(covering);
  return { crls: fault === undefined ? covering : [], until, fault };
}

function faultOfSize(crls: readonly Crl[]): string | undefined {
  const bytes = crls.reduce((sum, { der }) => sum + der.length, 0);
  if (bytes <= crlLimits.bytesInAll) return undefined;
  return `the CRLs have ${bytes} bytes, more than ${crlLimits.bytesInAll}`;
}

function isValid({ thisUpdate, nextUpdate }: Crl, now: number): boolean {
  return thisUpdate <= now && now < nextUpdate - AHEAD_MS;
}

function byNumber(one: Crl, other: Crl): number {
  return one.number > other.number ? -1 : 1;
}

/** Clients find a CRL by the name of its issuer and the key identifier, and then verify it. */
function isOf(crl: Crl, authority: Certificate): boolean {
  const { subject, subjectKeyId, keyUsage } = authority;
  if (!sameBytes(crl.issuer.der, subject.der)) return false;
  if (Buffer.from(subjectKeyId ?? []).toString('hex') !== crl.authorityId) return false;
  return (keyUsage?.names.has('cRLSign') ?? false) && isVerified(crl, authority);
}

const verified = new WeakMap<Crl, WeakMap<Certificate, boolean>>();

function isVerified(crl: Crl, authority: Certificate): boolean {
  const byAuthority = verified.get(crl) ?? new WeakMap<Certificate, boolean>();
  verified.set(crl, byAuthority);
  const isGood = byAuthority.get(authority) ?? isSignedBy(crl, authority);
  byAuthority.set(authority, isGood);
  return isGood;
}

const parsed = new WeakMap<Bundle, readonly Certificate[]>();

function authoritiesOf(bundle: Bundle): readonly Certificate[] {
  const known = parsed.get(bundle);
  if (known !== undefined) return known;
  const authorities = bundle.x509Authorities.map(({ certificate }) =>
    parseCertificate(certificate),
  );
  parsed.set(bundle, authorities);
  return authorities;
}
