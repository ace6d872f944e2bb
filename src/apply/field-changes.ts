import type { FederationRelationship } from '../federation/index.ts';
import { formatSelector, type RegistrationEntry } from '../spiffe/index.ts';

/** One field that is another; empty text for what is absent. */
export interface FieldChange {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

const entryFields: Readonly<Record<string, (entry: RegistrationEntry) => string>> = {
  spiffeId: ({ spiffeId }) => spiffeId.toString(),
  parentId: ({ parentId }) => parentId.toString(),
  selectors: ({ selectors }) => selectors.map(formatSelector).join(', '),
  x509SvidTtl: ({ x509SvidTtlSeconds }) => seconds(x509SvidTtlSeconds),
  jwtSvidTtl: ({ jwtSvidTtlSeconds }) => seconds(jwtSvidTtlSeconds),
  federatesWith: ({ federatesWith }) => federatesWith.map(({ name }) => name).join(', '),
  dnsNames: ({ dnsNames }) => dnsNames.join(', '),
  hint: ({ hint }) => hint,
  admin: ({ admin }) => flag(admin),
  downstream: ({ downstream }) => flag(downstream),
  storeSvid: ({ storeSvid }) => flag(storeSvid),
  disableX509SvidPrefetch: ({ disableX509SvidPrefetch }) => flag(disableX509SvidPrefetch),
  jwtSvidIncludeJti: ({ jwtSvidIncludeJti }) => flag(jwtSvidIncludeJti),
  expiresAt: ({ expiresAt }) => (expiresAt === undefined ? '' : new Date(expiresAt).toISOString()),
  managedBy: ({ managedBy }) => managedBy ?? '',
};

const relationshipFields: Readonly<Record<string, (one: FederationRelationship) => string>> = {
  bundleEndpointUrl: ({ bundleEndpointUrl }) => bundleEndpointUrl,
  bundleEndpointProfile: ({ profile }) => profile.type,
  endpointSpiffeId: ({ profile }) =>
    profile.type === 'https_spiffe' ? profile.endpointSpiffeId.toString() : '',
  accept: ({ accept }) => accept.map(String).toSorted().join(', '),
  publisherId: ({ publisherId }) => publisherId?.toString() ?? '',
  awaitAck: ({ awaitAck }) => flag(awaitAck),
  webCa: ({ webCa }) => webCa ?? '',
  managedBy: ({ managedBy }) => managedBy ?? '',
};

export function diffEntries(
  before: RegistrationEntry,
  after: RegistrationEntry,
): readonly FieldChange[] {
  return diff(entryFields, before, after);
}

export function diffRelationships(
  before: FederationRelationship,
  after: FederationRelationship,
): readonly FieldChange[] {
  return diff(relationshipFields, before, after);
}

function diff<Value>(
  fields: Readonly<Record<string, (value: Value) => string>>,
  one: Value,
  other: Value,
): readonly FieldChange[] {
  return Object.entries(fields).flatMap(([name, textOf]) => {
    const [before, after] = [textOf(one), textOf(other)];
    return before === after ? [] : [{ name, before, after }];
  });
}

function seconds(count: number): string {
  return count === 0 ? '' : `${count}s`;
}

function flag(value: boolean): string {
  return value ? 'true' : '';
}
