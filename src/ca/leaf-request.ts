import { type SpiffeId, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { type AuthorityKind, kindNames } from './authority.ts';

/** One X509-SVID to sign. */
export interface X509SvidRequest {
  /** With a path, in the trust domain of the authority. */
  readonly spiffeId: SpiffeId;
  /** SubjectPublicKeyInfo DER; EC P-256, EC P-384 or RSA of 2048 to 4096 bits. */
  readonly publicKey: Uint8Array;
  /** 0 takes the default of the authority. */
  readonly ttlSeconds: number;
  readonly dnsNames: readonly string[];
  /** The SVID ends by then, whatever its lifetime; milliseconds since the epoch. */
  readonly notAfterLimit?: number;
}

/** When a certificate is valid, in milliseconds since the epoch, whole seconds. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

const MAX_DNS_NAMES = 256;
const MAX_DNS_NAME_LENGTH = 253;
const DNS_NAME =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/iu;

/** @throws TrustplaneError ERR_CA_SPIFFE_ID, ERR_CA_DNS_NAME */
export function checkX509SvidRequest(request: X509SvidRequest, trustDomain: TrustDomain): void {
  const { spiffeId, dnsNames } = request;
  checkSubject(spiffeId, trustDomain);
  if (dnsNames.length > MAX_DNS_NAMES) throw badDnsName(`${dnsNames.length} names`);
  for (const name of dnsNames) {
    if (name.length > MAX_DNS_NAME_LENGTH || !DNS_NAME.test(name)) {
      throw badDnsName(JSON.stringify(name.slice(0, 80)));
    }
  }
}

/** @throws TrustplaneError ERR_CA_SPIFFE_ID */
export function checkSubject(spiffeId: SpiffeId, trustDomain: TrustDomain): void {
  if (spiffeId.trustDomain.equals(trustDomain) && !spiffeId.isTrustDomainId) return;
  throw new TrustplaneError(
    'ERR_CA_SPIFFE_ID',
    `an SVID of ${trustDomain.id} has an ID below it, with a path; got ${spiffeId.toString()}`,
  );
}

function badDnsName(got: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_CA_DNS_NAME',
    `a certificate has at most ${MAX_DNS_NAMES} DNS names of letters, digits, "-" and "_" between dots, the first label may be "*"; got ${got}`,
  );
}

/**
 * The validity of an SVID issued `now`: backdated, by no more than a quarter of its life, since many
 * renew at half of the time between both ends, and not before its issuer; for `ttlSeconds`, but
 * neither beyond its issuer nor `notAfterLimit`.
 * @throws TrustplaneError ERR_CA_CLOCK, ERR_CA_EXPIRED, ERR_CA_TTL
 */
export function leafValidity(options: {
  readonly now: number;
  readonly issuer: Validity;
  readonly ttlSeconds: number;
  readonly backdateSeconds: number;
  readonly notAfterLimit: number | undefined;
  /** Of the issuer. */
  readonly kind: AuthorityKind;
}): Validity {
  const { now, issuer, ttlSeconds, notAfterLimit = Number.POSITIVE_INFINITY } = options;
  const kind = kindNames[options.kind];
  if (now < issuer.notBefore) {
    throw new TrustplaneError(
      'ERR_CA_CLOCK',
      `the clock stands at ${iso(now)}, before the active ${kind} authority, valid from ${iso(issuer.notBefore)}; set the clock right`,
    );
  }
  if (now >= issuer.notAfter) {
    throw new TrustplaneError(
      'ERR_CA_EXPIRED',
      `the active ${kind} authority expired at ${iso(issuer.notAfter)} and the next is not active yet`,
    );
  }
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 1 || now >= notAfterLimit - 1000) {
    throw new TrustplaneError(
      'ERR_CA_TTL',
      `a lifetime is a whole number of seconds from 1 and ends after now; got ${ttlSeconds} s, ending by ${notAfterLimit}`,
    );
  }
  const backdateMs = Math.min(options.backdateSeconds, ttlSeconds / 4) * 1000;
  return {
    notBefore: Math.max(wholeSecond(now - backdateMs), issuer.notBefore),
    notAfter: Math.min(
      wholeSecond(now + ttlSeconds * 1000),
      issuer.notAfter,
      wholeSecond(notAfterLimit),
    ),
  };
}

/** Certificates tell time in seconds; cutting off is never later than asked. */
export function wholeSecond(instant: number): number {
  return Math.floor(instant / 1000) * 1000;
}

const iso = (instant: number): string => new Date(instant).toISOString();
