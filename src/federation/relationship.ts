import { quote, SpiffeId, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { federationLimits } from './federation-limits.ts';

/** How the server at a bundle endpoint shows who it is (SPIFFE Federation §5.2): by Web PKI, or by an X509-SVID of exactly that ID. */
export type EndpointProfile =
  | { readonly type: 'https_web' }
  | { readonly type: 'https_spiffe'; readonly endpointSpiffeId: SpiffeId };

/** Where the bundle of a foreign trust domain is to be had; nothing of it follows from anything else (§5.1). */
export interface FederationRelationship {
  readonly trustDomain: TrustDomain;
  readonly bundleEndpointUrl: string;
  readonly profile: EndpointProfile;
}

/** An absolute https URL of printable ASCII with a host that is followed by a port, path, query or nothing. */
const ENDPOINT_URL =
  /^https:\/\/(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?][!-~]*)?$/iu;

/**
 * The URL of a bundle endpoint: https, no userinfo (§5.2.1.1, §5.2.2.1), no fragment, at most 2048 bytes.
 * @throws TrustplaneError ERR_RELATIONSHIP
 */
export function parseEndpointUrl(text: string): string {
  const fault = endpointUrlFault(text);
  if (fault === undefined) return text;
  throw refused(`the bundle endpoint URL ${fault}; got ${quote(text, 200)}`);
}

function endpointUrlFault(text: string): string | undefined {
  if (text.length > federationLimits.urlBytes)
    return `has more than ${federationLimits.urlBytes} bytes`;
  if (!/^https:\/\//iu.test(text)) return 'does not begin with "https://"';
  if (/^[^/]*\/\/[^/?#]*@/u.test(text)) return 'has userinfo before its host';
  if (text.includes('#')) return 'has a fragment';
  if (text.includes('\\') || !ENDPOINT_URL.test(text) || !URL.canParse(text)) {
    return 'is no absolute URL with a host';
  }
  return undefined;
}

/**
 * The ID that the server of an https_spiffe endpoint shows: one that an X509-SVID can have.
 * @throws TrustplaneError ERR_RELATIONSHIP
 */
export function parseEndpointSpiffeId(text: string): SpiffeId {
  try {
    const id = SpiffeId.parse(text);
    if (!id.isTrustDomainId) return id;
  } catch (cause) {
    throw refused(`the endpoint's SPIFFE ID cannot be read; got ${quote(text)}`, cause);
  }
  throw refused(`the endpoint's SPIFFE ID has no path; got ${quote(text)}`);
}

/** True when both say the same. */
export function relationshipsEqual(
  one: FederationRelationship,
  other: FederationRelationship,
): boolean {
  return (
    one.trustDomain.equals(other.trustDomain) &&
    one.bundleEndpointUrl === other.bundleEndpointUrl &&
    endpointIdOf(one) === endpointIdOf(other)
  );
}

function endpointIdOf({ profile }: FederationRelationship): string | undefined {
  return profile.type === 'https_spiffe' ? profile.endpointSpiffeId.toString() : undefined;
}

function refused(message: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError('ERR_RELATIONSHIP', message, { cause });
}
