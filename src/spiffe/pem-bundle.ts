import { type Bundle, emptyBundle } from './bundle.ts';
import { parseCertificate } from './certificate.ts';
import { TrustplaneError } from './errors.ts';
import { decodePem } from './pem.ts';
import type { TrustDomain } from './trust-domain.ts';
import { authorityFault } from './x509-authority.ts';

/**
 * The bundle of a trust domain from the PEM certificates of its X.509 authorities, for a first contact.
 * @throws TrustplaneError ERR_PEM; ERR_CERTIFICATE; ERR_BUNDLE (none, or one that may not sign SVIDs)
 */
export function parsePemBundle(trustDomain: TrustDomain, text: string): Bundle {
  const authorities = decodePem('CERTIFICATE', text);
  if (authorities.length === 0) throw refused('there is no certificate in it');
  for (const der of authorities) {
    const certificate = parseCertificate(der);
    const fault = authorityFault(certificate);
    if (fault === undefined) continue;
    throw refused(`${JSON.stringify(certificate.subject.text)} ${fault.reason}`);
  }
  const x509Authorities = authorities.map((certificate) => ({ certificate, tainted: false }));
  return { ...emptyBundle(trustDomain), x509Authorities };
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_BUNDLE', `not a bundle of X.509 authorities: ${why}`);
}
