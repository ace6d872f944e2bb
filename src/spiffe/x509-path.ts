import type { Bundle } from './bundle.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { keyPurposes } from './certificate-extensions.ts';
import { describeCertificate, findCertificatePath } from './certificate-path.ts';
import { type ErrorCode, TrustplaneError } from './errors.ts';
import type { TrustDomain } from './trust-domain.ts';
import { authorityFault, authoritySpiffeId } from './x509-authority.ts';
import type { X509Svid } from './x509-svid.ts';

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
  const { trustDomain } = svid.spiffeId;
  const rules = {
    authorities,
    owner: trustDomain.name,
    checkIssuer: (issuer: Certificate, isDirect: boolean) =>
      checkIssuer(issuer, isDirect ? trustDomain : undefined),
  };
  findCertificatePath([svid.leaf, ...svid.intermediates], rules, now);
}

const parsedAuthorities = new WeakMap<object, Certificate>();

function authorityCertificate(authority: { readonly certificate: Uint8Array }): Certificate {
  const known = parsedAuthorities.get(authority);
  if (known !== undefined) return known;
  const certificate = parseCertificate(authority.certificate);
  parsedAuthorities.set(authority, certificate);
  return certificate;
}

/** Only the direct issuer of a leaf is bound to its trust domain; one above it may sign for others too (X509-SVID §3.2). */
function checkIssuer(issuer: Certificate, leafTrustDomain: TrustDomain | undefined): void {
  const fault = authorityFault(issuer);
  if (fault !== undefined)
    throw refused(fault.code, `${describeCertificate(issuer)} ${fault.reason}`);
  const purposes = issuer.extendedKeyUsage;
  const required = [keyPurposes.serverAuth, keyPurposes.clientAuth];
  if (
    purposes !== undefined &&
    !purposes.includes(keyPurposes.any) &&
    !required.every((purpose) => purposes.includes(purpose))
  ) {
    throw refused(
      'ERR_X509_EXTENDED_KEY_USAGE',
      `${describeCertificate(issuer)} is limited to other purposes than serverAuth and clientAuth`,
    );
  }
  const id = authoritySpiffeId(issuer);
  if (leafTrustDomain === undefined || id === undefined) return;
  if (id.trustDomain.equals(leafTrustDomain)) return;
  throw refused(
    'ERR_X509_ISSUER_ID',
    `${describeCertificate(issuer)} is ${id.toString()} and issued an SVID of ${leafTrustDomain.name}`,
  );
}

function refused(code: ErrorCode, message: string): TrustplaneError {
  return new TrustplaneError(code, message);
}
