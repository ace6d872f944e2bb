import {
  isReservedPath,
  messageOf,
  parseSelector,
  quote,
  type RegistrationEntry,
  SelectorSet,
  type SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { itemLimits } from './item-limits.ts';
import {
  buildSeconds,
  buildSpiffeId,
  parseCount,
  parseSpiffeId,
  type WireSelector,
  type WireSpiffeId,
} from './wire-values.ts';

/** spire.api.types.Entry; 64-bit integers are decimal text. */
export interface WireEntry {
  readonly id?: string;
  readonly spiffe_id?: WireSpiffeId | null;
  readonly parent_id?: WireSpiffeId | null;
  readonly selectors?: readonly WireSelector[];
  readonly x509_svid_ttl?: number;
  readonly jwt_svid_ttl?: number;
  readonly federates_with?: readonly string[];
  readonly admin?: boolean;
  readonly downstream?: boolean;
  readonly expires_at?: string;
  readonly dns_names?: readonly string[];
  readonly revision_number?: string;
  readonly store_svid?: boolean;
  readonly hint?: string;
  readonly created_at?: string;
  readonly additional_attributes?: {
    readonly disable_x509_svid_prefetch?: boolean;
    readonly jwt_svid_include_jti?: boolean;
  } | null;
}

/** spire.api.types.EntryMask; undefined for all fields. */
export type EntryMask =
  | { readonly [F in Exclude<keyof WireEntry, 'id'>]?: boolean }
  | null
  | undefined;

const CODE = 'ERR_SYNC_ENTRY';
const ENTRY_ID = /^[A-Za-z0-9._-]{1,255}$/u;
const DNS_NAME = /^[A-Za-z0-9*._-]{1,253}$/u;
/** Control characters and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

/** The masked fields of an entry as a message. */
export function buildEntryMessage(entry: RegistrationEntry, mask?: EntryMask): WireEntry {
  const whole: WireEntry = {
    id: entry.id,
    spiffe_id: buildSpiffeId(entry.spiffeId),
    parent_id: buildSpiffeId(entry.parentId),
    selectors: entry.selectors,
    x509_svid_ttl: entry.x509SvidTtlSeconds,
    jwt_svid_ttl: entry.jwtSvidTtlSeconds,
    federates_with: entry.federatesWith.map((trustDomain) => trustDomain.name),
    admin: entry.admin,
    downstream: entry.downstream,
    expires_at: buildSeconds(entry.expiresAt),
    dns_names: entry.dnsNames,
    revision_number: String(entry.revisionNumber),
    store_svid: entry.storeSvid,
    hint: entry.hint,
    created_at: buildSeconds(entry.createdAt),
    ...((entry.disableX509SvidPrefetch || entry.jwtSvidIncludeJti) && {
      additional_attributes: {
        disable_x509_svid_prefetch: entry.disableX509SvidPrefetch,
        jwt_svid_include_jti: entry.jwtSvidIncludeJti,
      },
    }),
  };
  if (mask === undefined || mask === null) return whole;
  const wanted = new Map<string, boolean | undefined>(Object.entries(mask));
  return Object.fromEntries(
    Object.entries(whole).filter(([field]) => field === 'id' || wanted.get(field) === true),
  );
}

/**
 * The entry a server sends its agent. It is judged by shape: which entries are allowed is the
 * server's to say.
 * @throws TrustplaneError ERR_SYNC_ENTRY
 */
export function parseEntryMessage(message: WireEntry, trustDomain: TrustDomain): RegistrationEntry {
  const id = message.id ?? '';
  if (!ENTRY_ID.test(id)) throw fault('id', 'an entry ID', id);
  try {
    return { id, ...parseFields(message, trustDomain) };
  } catch (error) {
    throw new TrustplaneError(CODE, `entry ${id}: ${messageOf(error)}`, { cause: error });
  }
}

function parseFields(message: WireEntry, trustDomain: TrustDomain): Omit<RegistrationEntry, 'id'> {
  const expiresAt = parseInstant(message.expires_at, 'expires_at');
  const attributes = message.additional_attributes ?? {};
  return {
    spiffeId: parseWorkloadId(message.spiffe_id, trustDomain),
    parentId: parseMemberId(message.parent_id, 'parent_id', trustDomain),
    selectors: parseSelectors(message.selectors ?? []),
    x509SvidTtlSeconds: parseTtl(message.x509_svid_ttl, 'x509_svid_ttl'),
    jwtSvidTtlSeconds: parseTtl(message.jwt_svid_ttl, 'jwt_svid_ttl'),
    federatesWith: parseFederatesWith(message.federates_with ?? []),
    dnsNames: parseDnsNames(message.dns_names ?? []),
    hint: parseHint(message.hint ?? ''),
    admin: message.admin ?? false,
    downstream: message.downstream ?? false,
    storeSvid: message.store_svid ?? false,
    disableX509SvidPrefetch: attributes.disable_x509_svid_prefetch ?? false,
    jwtSvidIncludeJti: attributes.jwt_svid_include_jti ?? false,
    expiresAt: expiresAt === 0 ? undefined : expiresAt,
    revisionNumber: parseCount(message.revision_number, 'revision_number', CODE),
    createdAt: parseInstant(message.created_at, 'created_at'),
  };
}

function parseWorkloadId(id: WireEntry['spiffe_id'], trustDomain: TrustDomain): SpiffeId {
  const spiffeId = parseMemberId(id, 'spiffe_id', trustDomain);
  if (!isReservedPath(spiffeId)) return spiffeId;
  throw fault('spiffe_id', 'an ID outside /spire/', spiffeId.toString());
}

function parseMemberId(
  id: WireEntry['spiffe_id'],
  field: string,
  trustDomain: TrustDomain,
): SpiffeId {
  const parsed = parseSpiffeId(id, field, CODE);
  if (parsed.trustDomain.equals(trustDomain) && !parsed.isTrustDomainId) return parsed;
  throw fault(field, `an ID with a path in ${trustDomain.id}`, parsed.toString());
}

function parseSelectors(selectors: readonly WireSelector[]): RegistrationEntry['selectors'] {
  if (selectors.length === 0) throw fault('selectors', 'at least one', 'none');
  atMost(selectors, itemLimits.selectors, 'selectors');
  const parsed = selectors.map(({ type, value }) => parseSelector(`${type ?? ''}:${value ?? ''}`));
  return SelectorSet.of(parsed).texts.map(parseSelector);
}

function parseTtl(seconds: number | undefined, field: string): number {
  const ttl = seconds ?? 0;
  if (ttl >= 0) return ttl;
  throw fault(field, 'seconds from 0', String(ttl));
}

function parseFederatesWith(names: readonly string[]): readonly TrustDomain[] {
  atMost(names, itemLimits.federatesWith, 'federates_with');
  return names.map((name) => TrustDomain.parse(name));
}

function parseDnsNames(names: readonly string[]): readonly string[] {
  atMost(names, itemLimits.dnsNames, 'dns_names');
  const bad = names.find((name) => !DNS_NAME.test(name));
  if (bad === undefined) return names;
  throw fault('dns_names', 'DNS names', bad);
}

function parseHint(hint: string): string {
  if (Buffer.byteLength(hint) <= itemLimits.hintBytes && !UNPRINTABLE.test(hint)) return hint;
  const expected = `at most ${itemLimits.hintBytes} bytes without control characters`;
  throw fault('hint', expected, hint);
}

/** Seconds since the epoch, up to the last that X.509 can write; in milliseconds. */
function parseInstant(text: string | undefined, field: string): number {
  const seconds = parseCount(text, field, CODE);
  if (seconds <= itemLimits.instantSeconds) return seconds * 1000;
  throw fault(field, `seconds up to ${itemLimits.instantSeconds}`, String(seconds));
}

function atMost(items: readonly unknown[], limit: number, field: string): void {
  if (items.length > limit) throw fault(field, `at most ${limit}`, String(items.length));
}

function fault(field: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError(CODE, `${field}: expected ${expected}; got ${quote(got)}`);
}
