import type { Bundle } from './bundle.ts';
import { type Certificate, parseCertificate, sameBytes } from './certificate.ts';
import { keyPurposes } from './certificate-extensions.ts';
import { algorithmFault, isSignedBy } from './certificate-signature.ts';
import { type ErrorCode, TrustplaneError } from './errors.ts';
import { nameConstraintsFault } from './name-constraints.ts';
import type { TrustDomain } from './trust-domain.ts';
import { authorityFault, authoritySpiffeId } from './x509-authority.ts';
import type { X509Svid } from './x509-svid.ts';

/** Signature checks one chain may cost; more means that it was made to burn CPU. */
const MAX_SIGNATURE_CHECKS = 32;
const MILLISECONDS_PER_SECOND = 1000;

/**
 * Verifies an X509-SVID against the bundle of its own trust domain (X509-SVID §5.1, RFC 5280 §6):
 * each certificate is signed by the next, the last one by an authority of the bundle. The order of the
 * chain is the order of the path; a root at its end is allowed. Authorities are held to the rules of
 * issuers too, expiry included.
 * @param now milliseconds since the epoch
 * @throws TrustplaneError ERR_X509_*; where several authorities come into question, the first error
 */
export function verifyX509Svid(svid: X509Svid, bundle: Bundle, now: number): void {
  if (!bundle.trustDomain.equals(svid.spiffeId.trustDomain)) {
    throw refused(
      'ERR_X509_TRUST_DOMAIN',
      `${svid.spiffeId.toString()} is verified with the bundle of its own trust domain; got the one of ${bundle.trustDomain.name}`,
    );
  }
  if (bundle.x509Authorities.length === 0) {
    throw refused('ERR_X509_NO_AUTHORITY', `${bundle.trustDomain.name} has no X.509 authority`);
  }
  const authorities = bundle.x509Authorities.map((authority) => authorityCertificate(authority));
  new PathSearch(svid, authorities, now).run();
}

const parsedAuthorities = new WeakMap<object, Certificate>();

function authorityCertificate(authority: { readonly certificate: Uint8Array }): Certificate {
  const known = parsedAuthorities.get(authority);
  if (known !== undefined) return known;
  const certificate = parseCertificate(authority.certificate);
  parsedAuthorities.set(authority, certificate);
  return certificate;
}

class PathSearch {
  readonly #chain: readonly Certificate[];
  readonly #authorities: readonly Certificate[];
  readonly #trustDomain: TrustDomain;
  readonly #now: number;
  #signatureChecks = 0;
  #firstError: TrustplaneError | undefined;

  constructor(svid: X509Svid, authorities: readonly Certificate[], now: number) {
    this.#chain = [svid.leaf, ...svid.intermediates];
    this.#authorities = authorities;
    this.#trustDomain = svid.spiffeId.trustDomain;
    this.#now = now;
  }

  /** Tries the authorities above each certificate of the chain, then goes on to the next one. */
  run(): void {
    const path: Certificate[] = [];
    for (const certificate of this.#chain) {
      const previous = path.at(-1);
      if (previous !== undefined && !this.#attempt(() => this.#checkStep(path, certificate))) break;
      if (previous === undefined) checkSelf(certificate, this.#now);
      path.push(certificate);
      for (const authority of this.#authorities) {
        if (!namesIssuer(certificate, authority)) continue;
        if (this.#attempt(() => this.#checkStep(path, authority))) return;
      }
    }
    throw this.#firstError ?? this.#noAuthority(path.at(-1));
  }

  /** Runs a check; of all errors the first is kept. */
  #attempt(check: () => void): boolean {
    try {
      check();
      return true;
    } catch (error) {
      if (!(error instanceof TrustplaneError)) throw error;
      this.#firstError ??= error;
      return false;
    }
  }

  /** `issuer` issued the last certificate of the path and may stand above all of it. */
  #checkStep(path: readonly Certificate[], issuer: Certificate): void {
    const subject = path.at(-1);
    if (subject === undefined) return;
    if (!namesIssuer(subject, issuer)) throw this.#noAuthority(subject);
    checkSelf(issuer, this.#now);
    checkIssuer(issuer, path.length === 1 ? this.#trustDomain : undefined);
    checkAbove(issuer, path);
    if (++this.#signatureChecks > MAX_SIGNATURE_CHECKS) {
      throw refused(
        'ERR_X509_CHAIN',
        `the chain takes over ${MAX_SIGNATURE_CHECKS} signature checks`,
      );
    }
    if (isSignedBy(subject, issuer)) return;
    throw refused(
      'ERR_X509_SIGNATURE',
      `${describe(subject)} is not signed by the key of ${describe(issuer)}`,
    );
  }

  #noAuthority(last: Certificate | undefined): TrustplaneError {
    const what = last === undefined ? 'the chain' : describe(last);
    return refused(
      'ERR_X509_UNTRUSTED',
      `no X.509 authority of ${this.#trustDomain.name} issued ${what}`,
    );
  }
}

/** The issuer's name is the one the certificate gives, and key identifiers agree where both exist. */
function namesIssuer(certificate: Certificate, issuer: Certificate): boolean {
  const { authorityKeyId } = certificate;
  const { subjectKeyId } = issuer;
  if (!sameBytes(certificate.issuer.der, issuer.subject.der)) return false;
  if (authorityKeyId === undefined || subjectKeyId === undefined) return true;
  return sameBytes(authorityKeyId, subjectKeyId);
}

/** What every certificate of a path must be: valid now, understood, with accepted algorithms. */
function checkSelf(certificate: Certificate, now: number): void {
  const { notBefore, notAfter, unknownCriticalExtensions } = certificate;
  if (now < notBefore) {
    throw refused(
      'ERR_X509_NOT_YET_VALID',
      `${describe(certificate)} is valid from ${iso(notBefore)}; now is ${iso(now)}`,
    );
  }
  if (now >= notAfter + MILLISECONDS_PER_SECOND) {
    throw refused(
      'ERR_X509_EXPIRED',
      `${describe(certificate)} expired at ${iso(notAfter)}; now is ${iso(now)}`,
    );
  }
  if (unknownCriticalExtensions.length > 0) {
    throw refused(
      'ERR_X509_CRITICAL_EXTENSION',
      `${describe(certificate)} has the critical extension ${unknownCriticalExtensions.join(', ')}`,
    );
  }
  const fault = algorithmFault(certificate);
  if (fault !== undefined) {
    throw refused('ERR_X509_ALGORITHM', `${describe(certificate)} has ${fault}`);
  }
}

/** Only the direct issuer of a leaf is bound to its trust domain; one above it may sign for others too (X509-SVID §3.2). */
function checkIssuer(issuer: Certificate, leafTrustDomain: TrustDomain | undefined): void {
  const fault = authorityFault(issuer);
  if (fault !== undefined) throw refused(fault.code, `${describe(issuer)} ${fault.reason}`);
  const purposes = issuer.extendedKeyUsage;
  const required = [keyPurposes.serverAuth, keyPurposes.clientAuth];
  if (
    purposes !== undefined &&
    !purposes.includes(keyPurposes.any) &&
    !required.every((purpose) => purposes.includes(purpose))
  ) {
    throw refused(
      'ERR_X509_EXTENDED_KEY_USAGE',
      `${describe(issuer)} is limited to other purposes than serverAuth and clientAuth`,
    );
  }
  const id = authoritySpiffeId(issuer);
  if (leafTrustDomain === undefined || id === undefined) return;
  if (id.trustDomain.equals(leafTrustDomain)) return;
  throw refused(
    'ERR_X509_ISSUER_ID',
    `${describe(issuer)} is ${id.toString()} and issued an SVID of ${leafTrustDomain.name}`,
  );
}

/** Path length and name constraints of an issuer over the certificates below it, leaf first. */
function checkAbove(issuer: Certificate, path: readonly Certificate[]): void {
  const [, ...authorities] = path;
  const counted = authorities.filter((certificate) => !isSelfIssued(certificate)).length;
  if (issuer.pathLength !== undefined && counted > issuer.pathLength) {
    throw refused(
      'ERR_X509_PATH_LENGTH',
      `${describe(issuer)} allows ${issuer.pathLength} authorities below it; got ${counted}`,
    );
  }
  if (issuer.nameConstraints === undefined) return;
  for (const [index, certificate] of path.entries()) {
    if (index > 0 && isSelfIssued(certificate)) continue;
    const fault = nameConstraintsFault(issuer.nameConstraints, certificate);
    if (fault === undefined) continue;
    throw refused(
      'ERR_X509_NAME_CONSTRAINTS',
      `${describe(issuer)} does not allow ${describe(certificate)}: ${fault}`,
    );
  }
}

function isSelfIssued({ issuer, subject }: Certificate): boolean {
  return sameBytes(issuer.der, subject.der);
}

function describe({ subject, serialNumber, uriSans }: Certificate): string {
  const name = uriSans[0] ?? (subject.text === '' ? 'without subject' : subject.text);
  return `certificate ${JSON.stringify(name.slice(0, 200))} (serial ${serialNumber})`;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

function refused(code: ErrorCode, message: string): TrustplaneError {
  return new TrustplaneError(code, message);
}
