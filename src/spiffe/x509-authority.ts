import type { Certificate } from './certificate.ts';
import type { ErrorCode } from './errors.ts';
import { SpiffeId } from './spiffe-id.ts';

/** Why a certificate may not sign SVIDs, or undefined: cA, keyCertSign, and if it has a SPIFFE ID, one without path (X509-SVID §3.2, §4.1, §4.3). */
export function authorityFault(
  certificate: Certificate,
): { readonly code: ErrorCode; readonly reason: string } | undefined {
  if (!certificate.isCa) {
    return { code: 'ERR_X509_ISSUER_CA', reason: 'is no certificate authority (cA is not true)' };
  }
  if (certificate.keyUsage?.names.has('keyCertSign') !== true) {
    return { code: 'ERR_X509_ISSUER_CA', reason: 'has no key usage keyCertSign' };
  }
  const spiffeUris = certificate.uriSans.filter((uri) => uri.startsWith('spiffe:'));
  if (spiffeUris.length === 0) return undefined;
  const id = authoritySpiffeId(certificate);
  if (id?.isTrustDomainId === true && certificate.uriSans.length === 1) return undefined;
  return {
    code: 'ERR_X509_ISSUER_ID',
    reason: `has the URI SAN ${JSON.stringify(spiffeUris[0]?.slice(0, 200))}; an authority has one SPIFFE ID without path, or none`,
  };
}

/** The SPIFFE ID of an authority, if it has a valid one. */
export function authoritySpiffeId({ uriSans }: Certificate): SpiffeId | undefined {
  const [uri] = uriSans;
  if (uri === undefined) return undefined;
  try {
    return SpiffeId.parse(uri);
  } catch {
    return undefined;
  }
}
