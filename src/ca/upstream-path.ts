import {
  authorityFault,
  type Certificate,
  messageOf,
  parseCertificate,
  sameBytes,
  type TrustDomain,
  TrustplaneError,
  verifyCertificateChain,
} from '../spiffe/index.ts';
import type { MintedAuthority } from './upstream-authority.ts';
import type { UpstreamPath } from './x509-authority.ts';

/** An authority that an upstream authority signed, checked. */
export interface CheckedAuthority {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly upstream: UpstreamPath;
}

/**
 * Checks that what came is what was asked for: an authority of the trust domain for the key, valid now
 * below one of the roots that came with it.
 * @param now milliseconds since the epoch
 * @throws TrustplaneError ERR_CA_UPSTREAM_ANSWER
 */
export function checkMinted(
  { chain, upstreamRoots }: MintedAuthority,
  wanted: { readonly publicKey: Uint8Array; readonly trustDomain: TrustDomain },
  now: number,
): CheckedAuthority {
  try {
    const roots = upstreamRoots.map(parseCertificate);
    const path = verifyCertificateChain(chain.map(parseCertificate), roots, now);
    const [authority, ...above] = path;
    const root = above.pop();
    if (authority === undefined || root === undefined) throw new Error('it is a root itself');
    checkAuthority(authority, wanted);
    for (const certificate of [authority, ...above, root]) checkMaySign(certificate);
    const intermediates = above.map(({ der }) => der);
    return { certificate: authority.der, upstream: { intermediates, root: root.der } };
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_CA_UPSTREAM_ANSWER',
      `the certificate from the upstream authority cannot be used: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function checkAuthority(
  { publicKey, uriSans, subjectKeyId }: Certificate,
  wanted: { readonly publicKey: Uint8Array; readonly trustDomain: TrustDomain },
): void {
  if (!sameBytes(publicKey, wanted.publicKey)) throw new Error('it is for another key');
  if (uriSans.length !== 1 || uriSans[0] !== wanted.trustDomain.id) {
    throw new Error(`expected the URI SAN ${wanted.trustDomain.id}; got ${uriSans.join(', ')}`);
  }
  if (subjectKeyId === undefined) throw new Error('it has no subject key identifier');
}

function checkMaySign(certificate: Certificate): void {
  const fault = authorityFault(certificate);
  if (fault !== undefined) throw new Error(`${certificate.subject.text} ${fault.reason}`);
}
