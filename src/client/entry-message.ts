/** Shapes of `spire.api.types` messages as the loader makes them (keepCase, 64-bit integers as strings, defaults left out). */
export interface SpiffeIdMessage {
  trust_domain?: string;
  path?: string;
}

export interface EntryMessage {
  id?: string;
  spiffe_id?: SpiffeIdMessage;
  parent_id?: SpiffeIdMessage;
  selectors?: readonly { type?: string; value?: string }[];
  x509_svid_ttl?: number;
  jwt_svid_ttl?: number;
  federates_with?: readonly string[];
  admin?: boolean;
  downstream?: boolean;
  expires_at?: string | number;
  dns_names?: readonly string[];
  revision_number?: string;
  store_svid?: boolean;
  hint?: string;
  created_at?: string;
  additional_attributes?: { jwt_svid_include_jti?: boolean };
}

/** A registration entry as the command line prints it. TTLs in seconds (0: the server's default), instants in RFC 3339. */
export interface EntryView {
  readonly id: string;
  readonly spiffeId: string;
  readonly parentId: string;
  readonly selectors: readonly string[];
  readonly x509SvidTtl: number;
  readonly jwtSvidTtl: number;
  readonly federatesWith: readonly string[];
  readonly dnsNames: readonly string[];
  readonly hint: string;
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly storeSvid: boolean;
  readonly jwtSvidIncludeJti: boolean;
  readonly expiresAt: string | null;
  readonly revisionNumber: number;
  readonly createdAt: string | null;
}

export function buildEntryView(message: EntryMessage): EntryView {
  return {
    id: message.id ?? '',
    spiffeId: formatId(message.spiffe_id),
    parentId: formatId(message.parent_id),
    selectors: (message.selectors ?? []).map(({ type, value }) => `${type ?? ''}:${value ?? ''}`),
    x509SvidTtl: message.x509_svid_ttl ?? 0,
    jwtSvidTtl: message.jwt_svid_ttl ?? 0,
    federatesWith: message.federates_with ?? [],
    dnsNames: message.dns_names ?? [],
    hint: message.hint ?? '',
    admin: message.admin ?? false,
    downstream: message.downstream ?? false,
    storeSvid: message.store_svid ?? false,
    jwtSvidIncludeJti: message.additional_attributes?.jwt_svid_include_jti ?? false,
    expiresAt: formatInstant(message.expires_at),
    revisionNumber: Number(message.revision_number ?? 0),
    createdAt: formatInstant(message.created_at),
  };
}

function formatId(id: SpiffeIdMessage | undefined): string {
  return id === undefined ? '' : `spiffe://${id.trust_domain ?? ''}${id.path ?? ''}`;
}

function formatInstant(seconds: string | number | undefined): string | null {
  const value = Number(seconds ?? 0);
  return value === 0 ? null : new Date(value * 1_000).toISOString().replace('.000Z', 'Z');
}
