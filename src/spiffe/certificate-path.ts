import { type Certificate, sameBytes } from './certificate.ts';
import { algorithmFault, isSignedBy } from './certificate-signature.ts';
import { type ErrorCode, TrustplaneError } from './errors.ts';
import { nameConstraintsFault } from './name-constraints.ts';

/** Signature checks one chain may cost; more means that it was made to burn CPU. */
const MAX_SIGNATURE_CHECKS = 32;
const MILLISECONDS_PER_SECOND = 1000;

/** What is asked of a path beyond RFC 5280 §6. */
export interface PathRules {
  /** Certificates that are trusted by themselves. */
  readonly authorities: readonly Certificate[];
  /** For messages: whose authorities they are. */
  readonly owner: string;
  /** Throws when the certificate may not issue; `isDirect`: the leaf. */
  checkIssuer(issuer: Certificate, isDirect: boolean): void;
}

/**
 * Finds the path from a leaf to an authority (RFC 5280 §6): each certificate is signed by the next.
 * The order of the chain is the order of the path; a root at its end is allowed. Authorities are held
 * to the rules of issuers too, expiry included.
 * @param chain leaf first
 * @param now milliseconds since the epoch
 * @returns the path, leaf first, authority last; nothing of the chain that is not in it was verified
 * @throws TrustplaneError ERR_X509_*; where several authorities come into question, the first error
 */
export function findCertificatePath(
  chain: readonly Certificate[],
  rules: PathRules,
  now: number,
): readonly Certificate[] {
  return new PathSearch(chain, rules, now).run();
}

/**
 * `findCertificatePath` for certificates of any PKI: an issuer is a certificate authority, and its key
 * usage, if it has one, says keyCertSign.
 * @throws TrustplaneError ERR_X509_*
 */
export function verifyCertificateChain(
  chain: readonly Certificate[],
  authorities: readonly Certificate[],
  now: number,
): readonly Certificate[] {
  const rules = { authorities, owner: 'the CA bundle', checkIssuer: checkAnyIssuer };
  return findCertificatePath(chain, rules, now);
}

function checkAnyIssuer(issuer: Certificate): void {
  const mayIssue = issuer.isCa && issuer.keyUsage?.names.has('keyCertSign') !== false;
  if (mayIssue) return;
  throw refused('ERR_X509_ISSUER_CA', `${describeCertificate(issuer)} may not sign certificates`);
}

class PathSearch {
  readonly #chain: readonly Certificate[];
  readonly #rules: PathRules;
  readonly #now: number;
  #signatureChecks = 0;
  #firstError: TrustplaneError | undefined;

  constructor(chain: readonly Certificate[], rules: PathRules, now: number) {
    this.#chain = chain;
    this.#rules = rules;
    this.#now = now;
  }

  /** Tries the authorities above each certificate of the chain, then goes on to the next one. */
  run(): readonly Certificate[] {
    const path: Certificate[] = [];
    for (const certificate of this.#chain) {
      const previous = path.at(-1);
      if (previous !== undefined && !this.#attempt(() => this.#checkStep(path, certificate))) break;
      if (previous === undefined) checkSelf(certificate, this.#now);
      path.push(certificate);
      for (const authority of this.#rules.authorities) {
        if (!namesIssuer(certificate, authority)) continue;
        if (this.#attempt(() => this.#checkStep(path, authority))) return [...path, authority];
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
    this.#rules.checkIssuer(issuer, path.length === 1);
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
      `${describeCertificate(subject)} is not signed by the key of ${describeCertificate(issuer)}`,
    );
  }

  #noAuthority(last: Certificate | undefined): TrustplaneError {
    const what = last === undefined ? 'the chain' : describeCertificate(last);
    return refused(
      'ERR_X509_UNTRUSTED',
      `no X.509 authority of ${this.#rules.owner} issued ${what}`,
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
      `${describeCertificate(certificate)} is valid from ${iso(notBefore)}; now is ${iso(now)}`,
    );
  }
  if (now >= notAfter + MILLISECONDS_PER_SECOND) {
    throw refused(
      'ERR_X509_EXPIRED',
      `${describeCertificate(certificate)} expired at ${iso(notAfter)}; now is ${iso(now)}`,
    );
  }
  if (unknownCriticalExtensions.length > 0) {
    throw refused(
      'ERR_X509_CRITICAL_EXTENSION',
      `${describeCertificate(certificate)} has the critical extension ${unknownCriticalExtensions.join(', ')}`,
    );
  }
  const fault = algorithmFault(certificate);
  if (fault !== undefined) {
    throw refused('ERR_X509_ALGORITHM', `${describeCertificate(certificate)} has ${fault}`);
  }
}

/** Path length and name constraints of an issuer over the certificates below it, leaf first. */
function checkAbove(issuer: Certificate, path: readonly Certificate[]): void {
  const [, ...authorities] = path;
  const counted = authorities.filter((certificate) => !isSelfIssued(certificate)).length;
  if (issuer.pathLength !== undefined && counted > issuer.pathLength) {
    throw refused(
      'ERR_X509_PATH_LENGTH',
      `${describeCertificate(issuer)} allows ${issuer.pathLength} authorities below it; got ${counted}`,
    );
  }
  if (issuer.nameConstraints === undefined) return;
  for (const [index, certificate] of path.entries()) {
    if (index > 0 && isSelfIssued(certificate)) continue;
    const fault = nameConstraintsFault(issuer.nameConstraints, certificate);
    if (fault === undefined) continue;
    throw refused(
      'ERR_X509_NAME_CONSTRAINTS',
      `${describeCertificate(issuer)} does not allow ${describeCertificate(certificate)}: ${fault}`,
    );
  }
}

function isSelfIssued({ issuer, subject }: Certificate): boolean {
  return sameBytes(issuer.der, subject.der);
}

/** For messages: a name and the serial number. */
export function describeCertificate({ subject, serialNumber, uriSans }: Certificate): string {
  const name = uriSans[0] ?? (subject.text === '' ? 'without subject' : subject.text);
  return `certificate ${JSON.stringify(name.slice(0, 200))} (serial ${serialNumber})`;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

function refused(code: ErrorCode, message: string): TrustplaneError {
  return new TrustplaneError(code, message);
}
