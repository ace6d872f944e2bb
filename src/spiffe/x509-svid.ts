import { type Certificate, parseCertificate } from './certificate.ts';
import { keyPurposes } from './certificate-extensions.ts';
import { type ErrorCode, TrustplaneError } from './errors.ts';
import { SpiffeId } from './spiffe-id.ts';

/** A leaf certificate that keeps the rules of X509-SVID, and its intermediates; nothing is verified yet. */
export interface X509Svid {
  readonly spiffeId: SpiffeId;
  readonly leaf: Certificate;
  /** In the order of the chain: the first one issued the leaf. */
  readonly intermediates: readonly Certificate[];
}

/** Certificates in a chain, leaf included. */
const MAX_CHAIN_LENGTH = 8;

/**
 * Parses a chain of DER certificates, leaf first, and checks the leaf (X509-SVID §2, §3.1, §4, §5.2).
 * Whether it is to be trusted is for `verifyX509Svid` to say.
 * @throws TrustplaneError ERR_CERTIFICATE, ERR_X509_CHAIN, ERR_X509_URI_SAN, ERR_X509_SPIFFE_ID,
 * ERR_X509_LEAF_PATH, ERR_X509_LEAF_CA, ERR_X509_KEY_USAGE, ERR_X509_EXTENDED_KEY_USAGE
 */
export function parseX509Svid(chain: readonly Uint8Array[]): X509Svid {
  if (chain.length > MAX_CHAIN_LENGTH) {
    throw refused(
      'ERR_X509_CHAIN',
      `a chain has at most ${MAX_CHAIN_LENGTH} certificates; got ${chain.length}`,
    );
  }
  const [leaf, ...intermediates] = chain.map(parseCertificate);
  if (leaf === undefined) throw refused('ERR_X509_CHAIN', 'the chain has no certificate');
  const spiffeId = leafSpiffeId(leaf);
  checkLeafUsage(leaf);
  return { spiffeId, leaf, intermediates };
}

function leafSpiffeId({ uriSans }: Certificate): SpiffeId {
  const [uri] = uriSans;
  if (uri === undefined || uriSans.length > 1) {
    throw refused('ERR_X509_URI_SAN', `a leaf has exactly one URI SAN; got ${uriSans.length}`);
  }
  const spiffeId = parseUriSan(uri);
  if (spiffeId.isTrustDomainId) {
    throw refused(
      'ERR_X509_LEAF_PATH',
      `the SPIFFE ID of a leaf has a path; got ${spiffeId.toString()}`,
    );
  }
  return spiffeId;
}

function parseUriSan(uri: string): SpiffeId {
  try {
    return SpiffeId.parse(uri);
  } catch (error) {
    if (!(error instanceof TrustplaneError)) throw error;
    throw new TrustplaneError('ERR_X509_SPIFFE_ID', `the URI SAN is invalid: ${error.message}`, {
      cause: error,
    });
  }
}

function checkLeafUsage({ isCa, keyUsage, extendedKeyUsage }: Certificate): void {
  if (isCa) throw refused('ERR_X509_LEAF_CA', 'the leaf is a certificate authority (cA is true)');
  if (keyUsage === undefined || !keyUsage.isCritical) {
    throw refused('ERR_X509_KEY_USAGE', 'a leaf has a key usage extension that is critical');
  }
  if (!keyUsage.names.has('digitalSignature')) {
    throw refused('ERR_X509_KEY_USAGE', 'the key usage of a leaf has digitalSignature');
  }
  for (const name of ['keyCertSign', 'cRLSign'] as const) {
    if (!keyUsage.names.has(name)) continue;
    throw refused('ERR_X509_KEY_USAGE', `the key usage of a leaf does not have ${name}`);
  }
  if (extendedKeyUsage === undefined) return;
  for (const purpose of ['serverAuth', 'clientAuth'] as const) {
    if (extendedKeyUsage.includes(keyPurposes[purpose])) continue;
    throw refused('ERR_X509_EXTENDED_KEY_USAGE', `the extended key usage lacks ${purpose}`);
  }
}

function refused(code: ErrorCode, message: string): TrustplaneError {
  return new TrustplaneError(code, message);
}
