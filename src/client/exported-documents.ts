import type { TrustDomain } from '../spiffe/index.ts';
import { parseEntryMessage, type WireEntry } from '../sync/index.ts';
import type { ExportedDocuments, ExportedRelationship } from './apply-view.ts';

/** trustplane.admin.v1.Documents */
export interface WireDocuments {
  readonly entries?: readonly { readonly entry?: WireEntry }[];
  readonly relationships?: readonly WireRelationship[];
}

interface WireRelationship {
  readonly relationship?: {
    readonly trust_domain?: string;
    readonly bundle_endpoint_url?: string;
    readonly https_spiffe?: { readonly endpoint_spiffe_id?: string } | null;
  };
  readonly terms?: {
    readonly accept?: readonly string[];
    readonly publisher_id?: string;
    readonly await_ack?: boolean;
    readonly web_ca?: string;
  };
}

export function buildDocuments(
  { entries = [], relationships = [] }: WireDocuments,
  own: TrustDomain,
): ExportedDocuments {
  return {
    entries: entries.map(({ entry }) => parseEntryMessage(entry ?? {}, own)),
    relationships: relationships.map(buildRelationship),
  };
}

function buildRelationship({
  relationship = {},
  terms = {},
}: WireRelationship): ExportedRelationship {
  const { https_spiffe } = relationship;
  return {
    trustDomain: relationship.trust_domain ?? '',
    bundleEndpointUrl: relationship.bundle_endpoint_url ?? '',
    bundleEndpointProfile: https_spiffe ? 'https_spiffe' : 'https_web',
    endpointSpiffeId: https_spiffe?.endpoint_spiffe_id ?? '',
    accept: terms.accept ?? [],
    publisherId: terms.publisher_id ?? '',
    awaitAck: terms.await_ack ?? false,
    webCa: terms.web_ca ?? '',
  };
}
