import { formatDuration, yaml } from '../ops/index.ts';
import { formatSelector, type RegistrationEntry } from '../spiffe/index.ts';
import type { RelationshipDocument } from './document-schema.ts';

const HEAD = { apiVersion: 'trustplane/v1' } as const;

/** The entry as a document in YAML, without what is as by default. */
export function formatEntryDocument(entry: RegistrationEntry): string {
  return format({
    ...HEAD,
    kind: 'RegistrationEntry',
    id: entry.id,
    spiffeId: entry.spiffeId.toString(),
    parentId: entry.parentId.toString(),
    selectors: entry.selectors.map(formatSelector),
    x509SvidTtl: lifetime(entry.x509SvidTtlSeconds),
    jwtSvidTtl: lifetime(entry.jwtSvidTtlSeconds),
    federatesWith: some(entry.federatesWith.map(({ name }) => name)),
    dnsNames: some(entry.dnsNames),
    hint: entry.hint || undefined,
    admin: entry.admin || undefined,
    downstream: entry.downstream || undefined,
    storeSvid: entry.storeSvid || undefined,
    disableX509SvidPrefetch: entry.disableX509SvidPrefetch || undefined,
    jwtSvidIncludeJti: entry.jwtSvidIncludeJti || undefined,
    expiresAt:
      entry.expiresAt === undefined
        ? undefined
        : new Date(entry.expiresAt).toISOString().replace('.000Z', 'Z'),
  });
}

/** The relationship as a document in YAML, without what is as by default. */
export function formatRelationshipDocument(
  relationship: Omit<RelationshipDocument, 'apiVersion' | 'kind'>,
): string {
  return format({
    ...HEAD,
    kind: 'FederationRelationship',
    trustDomain: relationship.trustDomain,
    bundleEndpointUrl: relationship.bundleEndpointUrl,
    bundleEndpointProfile: relationship.bundleEndpointProfile,
    endpointSpiffeId: relationship.endpointSpiffeId || undefined,
    accept: some(relationship.accept ?? []),
    publisherId: relationship.publisherId || undefined,
    awaitAck: relationship.awaitAck || undefined,
    webCa: relationship.webCa || undefined,
  });
}

function format(document: object): string {
  return yaml().stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
}

function lifetime(seconds: number): string | undefined {
  return seconds === 0 ? undefined : formatDuration(seconds * 1_000);
}

function some<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
