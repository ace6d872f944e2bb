import {
  decodePem,
  IdScope,
  messageOf,
  parseCertificate,
  quote,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { federationLimits } from './federation-limits.ts';

/** How the server at a bundle endpoint shows who it is (SPIFFE Federation §5.2): by Web PKI, or by an X509-SVID of exactly that ID. */
export type EndpointProfile =
  | { readonly type: 'https_web' }
  | { readonly type: 'https_spiffe'; readonly endpointSpiffeId: SpiffeId };

/** Where the bundle of a foreign trust domain is to be had, and on what terms; nothing of it follows from anything else (§5.1). */
export interface FederationRelationship {
  readonly trustDomain: TrustDomain;
  readonly bundleEndpointUrl: string;
  readonly profile: EndpointProfile;
  /** The IDs of the trust domain that are accepted; empty: all. */
  readonly accept: readonly IdScope[];
  /** Who signs the bundle where it is broadcast; undefined: as `publisherOf` says. */
  readonly publisherId: SpiffeId | undefined;
  /** An authority of ours waits until the trust domain has the bundle with it. */
  readonly awaitAck: boolean;
  /** PEM, with https_web: the authorities of the endpoint's certificate in place of the public ones. */
  readonly webCa: string | undefined;
  /** Who made it; what the configuration file makes, it alone changes and ends. */
  readonly source: 'config' | 'api';
  /** The set of documents that keeps it; undefined: none does. */
  readonly managedBy?: string | undefined;
}

/** The terms of a relationship of which only the endpoint is told. */
export const plainTerms: Omit<
  FederationRelationship,
  'trustDomain' | 'bundleEndpointUrl' | 'profile'
> = { accept: [], publisherId: undefined, awaitAck: false, webCa: undefined, source: 'api' };

/** Who signs the trust domain's bundle where it is broadcast: unless told, the server of its https_spiffe endpoint, else the trust domain's own. */
export function publisherOf({
  publisherId,
  profile,
  trustDomain,
}: FederationRelationship): SpiffeId {
  if (publisherId !== undefined) return publisherId;
  if (profile.type === 'https_spiffe') return profile.endpointSpiffeId;
  return SpiffeId.parse(`spiffe://${trustDomain.name}/spire/server`);
}

/** The trust domain, and who signs its bundle where it is broadcast. */
export function peerOf(relationship: FederationRelationship): {
  readonly trustDomain: TrustDomain;
  readonly publisherId: SpiffeId;
} {
  return { trustDomain: relationship.trustDomain, publisherId: publisherOf(relationship) };
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
  return parseSvidId(text, "the endpoint's SPIFFE ID");
}

/** The ID of who signs broadcast bundles. @throws TrustplaneError ERR_RELATIONSHIP */
export function parsePublisherId(text: string): SpiffeId {
  return parseSvidId(text, "the publisher's SPIFFE ID");
}

function parseSvidId(text: string, whose: string): SpiffeId {
  try {
    const id = SpiffeId.parse(text);
    if (!id.isTrustDomainId) return id;
  } catch (cause) {
    throw refused(`${whose} cannot be read; got ${quote(text)}`, cause);
  }
  throw refused(`${whose} has no path; got ${quote(text)}`);
}

/**
 * PEM of the authorities that an https_web endpoint's certificate comes from.
 * @throws TrustplaneError ERR_RELATIONSHIP
 */
export function parseWebCa(text: string): string {
  if (text.length > federationLimits.webCaBytes) {
    throw refused(
      `the private web CA: expected at most ${federationLimits.webCaBytes} bytes; got ${text.length}`,
    );
  }
  try {
    const certificates = decodePem('CERTIFICATE', text);
    for (const der of certificates) parseCertificate(der);
    if (certificates.length > 0) return text;
  } catch (cause) {
    throw refused(`the private web CA cannot be read: ${messageOf(cause)}`, cause);
  }
  throw refused('the private web CA has no certificate in it');
}

/**
 * Which IDs of a trust domain are accepted, each scope once.
 * @throws TrustplaneError ERR_RELATIONSHIP, and what `IdScope.parse` throws
 */
export function parseAccept(texts: readonly string[], trustDomain: TrustDomain): IdScope[] {
  const { scopes: most } = federationLimits;
  if (texts.length > most) {
    throw refused(`accept: expected at most ${most} scopes; got ${texts.length}`);
  }
  return [...new Set(texts)].map((text) => IdScope.parse(text, trustDomain));
}

function refused(message: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError('ERR_RELATIONSHIP', message, { cause });
}
