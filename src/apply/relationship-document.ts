import {
  type FederationRelationship,
  parseAccept,
  parseEndpointSpiffeId,
  parseEndpointUrl,
  parsePublisherId,
  parseWebCa,
  plainTerms,
} from '../federation/index.ts';
import { messageOf, TrustDomain } from '../spiffe/index.ts';
import type { RelationshipDocument } from './document-schema.ts';
import type { DocumentFault } from './expand-template.ts';

/** A relationship, or what is wrong with its document. */
export type ReadRelationship =
  | { readonly relationship: FederationRelationship }
  | { readonly faults: readonly DocumentFault[] };

export function readRelationshipDocument(
  document: RelationshipDocument,
  own: TrustDomain,
): ReadRelationship {
  const faults: DocumentFault[] = [];
  const read = <T>(path: readonly PropertyKey[], parse: () => T): T | undefined => {
    try {
      return parse();
    } catch (error) {
      faults.push({ path, message: messageOf(error) });
      return undefined;
    }
  };
  const { endpointSpiffeId: endpointId, publisherId, accept = [], webCa } = document;
  const { bundleEndpointProfile: type, awaitAck = false } = document;
  const trustDomain = read(['trustDomain'], () => foreignDomain(document.trustDomain, own));
  const bundleEndpointUrl = read(['bundleEndpointUrl'], () =>
    parseEndpointUrl(document.bundleEndpointUrl),
  );
  const profile = read(
    [endpointId === undefined ? 'bundleEndpointProfile' : 'endpointSpiffeId'],
    () => readProfile(type, endpointId),
  );
  const terms = {
    accept: trustDomain && read(['accept'], () => parseAccept(accept, trustDomain)),
    publisherId: publisherId && read(['publisherId'], () => parsePublisherId(publisherId)),
    webCa: webCa && read(['webCa'], () => readWebCa(webCa, type)),
  };
  if (!trustDomain || !bundleEndpointUrl || !profile || faults.length > 0) return { faults };
  const relationship: FederationRelationship = {
    ...plainTerms,
    trustDomain,
    bundleEndpointUrl,
    profile,
    accept: terms.accept ?? [],
    publisherId: terms.publisherId || undefined,
    webCa: terms.webCa || undefined,
    awaitAck,
  };
  return { relationship };
}

function foreignDomain(name: string, own: TrustDomain): TrustDomain {
  const trustDomain = TrustDomain.parse(name);
  if (!trustDomain.equals(own)) return trustDomain;
  throw new Error(`expected a foreign trust domain, got ${name}, the own one`);
}

function readProfile(
  type: 'https_web' | 'https_spiffe',
  id: string | undefined,
): FederationRelationship['profile'] {
  if ((type === 'https_spiffe') !== (id !== undefined))
    throw new Error('expected https_spiffe and endpointSpiffeId together, got one alone');
  return id === undefined
    ? { type: 'https_web' }
    : { type: 'https_spiffe', endpointSpiffeId: parseEndpointSpiffeId(id) };
}

function readWebCa(pem: string, type: string): string {
  if (type === 'https_web') return parseWebCa(pem);
  throw new Error('says nothing with https_spiffe');
}
