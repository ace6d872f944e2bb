import {
  isReservedPath,
  type RegistrationEntry,
  type Selector,
  SpiffeId,
  TrustDomain,
} from '../spiffe/index.ts';
import { dnsNameFault } from './dns-name.ts';
import { fieldError, quote, refused } from './entry-error.ts';
import { entryLimits } from './entry-limits.ts';
import { parseSelectors } from './entry-selectors.ts';

/** Control characters and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

/** An entry as somebody outside asks for it. What is left out is empty, false, or the default. */
export interface EntryDraft {
  /** 1–255 of `[A-Za-z0-9._-]`; made up when left out. */
  readonly id?: string;
  readonly spiffeId: string;
  readonly parentId: string;
  readonly selectors: readonly Selector[];
  readonly x509SvidTtlSeconds?: number;
  readonly jwtSvidTtlSeconds?: number;
  /** Trust domains, as `b.test` or `spiffe://b.test`. */
  readonly federatesWith?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly hint?: string;
  readonly admin?: boolean;
  readonly downstream?: boolean;
  readonly storeSvid?: boolean;
  readonly disableX509SvidPrefetch?: boolean;
  readonly jwtSvidIncludeJti?: boolean;
  /** Seconds since the epoch; 0 for never. */
  readonly expiresAtSeconds?: number;
  /** The set of documents that keeps it. */
  readonly managedBy?: string | undefined;
}

/** What a draft is judged against. */
export interface EntryRules {
  readonly trustDomain: TrustDomain;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What the registry, not the draft, decides. */
export type EntryStamp = Pick<RegistrationEntry, 'id' | 'revisionNumber' | 'createdAt'>;

/**
 * Checks a draft and makes the entry: lists canonical, defaults filled in.
 * @throws TrustplaneError ERR_ENTRY_ID, ERR_ENTRY_SPIFFE_ID, ERR_ENTRY_PARENT_ID, ERR_ENTRY_SELECTORS,
 * ERR_ENTRY_TTL, ERR_ENTRY_FEDERATES_WITH, ERR_ENTRY_DNS_NAME, ERR_ENTRY_HINT, ERR_ENTRY_EXPIRY,
 * ERR_ENTRY_STORE_SVID
 */
export function parseEntry(
  draft: EntryDraft,
  stamp: EntryStamp,
  rules: EntryRules,
): RegistrationEntry {
  const spiffeId = parseWorkloadId(draft.spiffeId, rules.trustDomain);
  const entry: RegistrationEntry = {
    id: parseEntryId(stamp.id),
    spiffeId,
    parentId: parseParentId(draft.parentId, rules.trustDomain),
    selectors: parseSelectors(draft.selectors),
    x509SvidTtlSeconds: parseTtl(draft.x509SvidTtlSeconds, 'x509SvidTtlSeconds'),
    jwtSvidTtlSeconds: parseTtl(draft.jwtSvidTtlSeconds, 'jwtSvidTtlSeconds'),
    federatesWith: parseFederatesWith(draft.federatesWith ?? [], rules.trustDomain),
    dnsNames: parseDnsNames(draft.dnsNames ?? []),
    hint: parseHint(draft.hint ?? ''),
    admin: draft.admin ?? false,
    downstream: draft.downstream ?? false,
    storeSvid: draft.storeSvid ?? false,
    disableX509SvidPrefetch: draft.disableX509SvidPrefetch ?? false,
    jwtSvidIncludeJti: draft.jwtSvidIncludeJti ?? false,
    expiresAt: parseExpiry(draft.expiresAtSeconds ?? 0, rules.now),
    revisionNumber: stamp.revisionNumber,
    createdAt: stamp.createdAt,
    ...(draft.managedBy !== undefined && { managedBy: draft.managedBy }),
  };
  checkStoreSvid(entry);
  return entry;
}

/** The draft that would make this entry: what an update starts from. */
export function draftOf(entry: RegistrationEntry): EntryDraft {
  return {
    ...entry,
    spiffeId: entry.spiffeId.toString(),
    parentId: entry.parentId.toString(),
    federatesWith: entry.federatesWith.map((trustDomain) => trustDomain.name),
    expiresAtSeconds: entry.expiresAt === undefined ? 0 : entry.expiresAt / 1000,
  };
}

/** @throws TrustplaneError ERR_ENTRY_ID */
function parseEntryId(id: string): string {
  if (/^[A-Za-z0-9._-]+$/u.test(id) && id.length <= entryLimits.idBytes) return id;
  const expected = `1 to ${entryLimits.idBytes} characters out of A-Z, a-z, 0-9, ".", "_", "-"`;
  throw fieldError('ERR_ENTRY_ID', 'id', expected, quote(id));
}

function parseWorkloadId(text: string, trustDomain: TrustDomain): SpiffeId {
  const id = parseMemberId(text, 'ERR_ENTRY_SPIFFE_ID', 'spiffeId', trustDomain);
  if (!isReservedPath(id)) return id;
  const expected = 'a path outside the reserved /spire/';
  throw fieldError('ERR_ENTRY_SPIFFE_ID', 'spiffeId', expected, quote(text));
}

function parseParentId(text: string, trustDomain: TrustDomain): SpiffeId {
  const id = parseMemberId(text, 'ERR_ENTRY_PARENT_ID', 'parentId', trustDomain);
  if (isReservedPath(id) && id.path !== '/spire/server' && !id.path.startsWith('/spire/agent/')) {
    const expected =
      'an agent (/spire/agent/…), /spire/server for a node alias, or an ID outside /spire/';
    throw fieldError('ERR_ENTRY_PARENT_ID', 'parentId', expected, quote(text));
  }
  return id;
}

function parseMemberId(
  text: string,
  code: 'ERR_ENTRY_SPIFFE_ID' | 'ERR_ENTRY_PARENT_ID',
  field: string,
  trustDomain: TrustDomain,
): SpiffeId {
  const id = refused(code, field, () => SpiffeId.parse(text));
  if (id.trustDomain.equals(trustDomain) && !id.isTrustDomainId) return id;
  throw fieldError(code, field, `an ID with a path in ${trustDomain.id}`, quote(text));
}

function parseTtl(seconds: number | undefined, field: string): number {
  const ttl = seconds ?? 0;
  if (Number.isSafeInteger(ttl) && ttl >= 0 && ttl <= entryLimits.ttlSeconds) return ttl;
  const expected = `whole seconds from 0 (the default) to ${entryLimits.ttlSeconds}`;
  throw fieldError('ERR_ENTRY_TTL', field, expected, `${ttl}`);
}

function parseFederatesWith(names: readonly string[], own: TrustDomain): readonly TrustDomain[] {
  const byName = new Map<string, TrustDomain>();
  for (const [i, text] of names.entries()) {
    const field = `federatesWith[${i}]`;
    const bare = text.startsWith('spiffe://') ? text.slice('spiffe://'.length) : text;
    const trustDomain = refused('ERR_ENTRY_FEDERATES_WITH', field, () => TrustDomain.parse(bare));
    if (trustDomain.equals(own)) {
      throw fieldError(
        'ERR_ENTRY_FEDERATES_WITH',
        field,
        'a foreign trust domain',
        `${quote(text)}, the own one`,
      );
    }
    byName.set(trustDomain.name, trustDomain);
  }
  atMost('ERR_ENTRY_FEDERATES_WITH', 'federatesWith', byName.size, entryLimits.federatesWith);
  return [...byName.keys()].sort().flatMap((name) => byName.get(name) ?? []);
}

function parseDnsNames(names: readonly string[]): readonly string[] {
  for (const [i, name] of names.entries()) {
    const fault = dnsNameFault(name);
    if (fault === undefined) continue;
    const expected = 'a DNS name (lower-case RFC 1123 labels, "*" only as the first)';
    throw fieldError(
      'ERR_ENTRY_DNS_NAME',
      `dnsNames[${i}]`,
      expected,
      `${quote(name)}, which ${fault}`,
    );
  }
  const unique = [...new Set(names)];
  atMost('ERR_ENTRY_DNS_NAME', 'dnsNames', unique.length, entryLimits.dnsNames);
  return unique;
}

function parseHint(hint: string): string {
  const bytes = Buffer.byteLength(hint);
  if (bytes > entryLimits.hintBytes) {
    throw fieldError(
      'ERR_ENTRY_HINT',
      'hint',
      `at most ${entryLimits.hintBytes} bytes`,
      `${bytes}`,
    );
  }
  if (!UNPRINTABLE.test(hint)) return hint;
  throw fieldError(
    'ERR_ENTRY_HINT',
    'hint',
    'well-formed text without control characters',
    quote(hint),
  );
}

function parseExpiry(seconds: number, now: number): number | undefined {
  if (seconds === 0) return undefined;
  if (!Number.isSafeInteger(seconds) || seconds < 0 || seconds > entryLimits.expiresAtSeconds) {
    const expected = `whole seconds since the epoch, up to ${entryLimits.expiresAtSeconds}, or 0 for never`;
    throw fieldError('ERR_ENTRY_EXPIRY', 'expiresAt', expected, `${seconds}`);
  }
  if (seconds * 1000 > now) return seconds * 1000;
  const expected = `an instant after now (${Math.floor(now / 1000)})`;
  throw fieldError('ERR_ENTRY_EXPIRY', 'expiresAt', expected, `${seconds}`);
}

/** A stored SVID goes to one platform's store, so its selectors are of one type, and it is never cached. */
function checkStoreSvid(entry: RegistrationEntry): void {
  if (!entry.storeSvid) return;
  const types = [...new Set(entry.selectors.map((selector) => selector.type))];
  if (types.length > 1) {
    throw fieldError(
      'ERR_ENTRY_STORE_SVID',
      'selectors',
      'one selector type with storeSvid',
      types.join(', '),
    );
  }
  if (entry.disableX509SvidPrefetch) {
    throw fieldError(
      'ERR_ENTRY_STORE_SVID',
      'disableX509SvidPrefetch',
      'false with storeSvid',
      'true',
    );
  }
}

function atMost(
  code: 'ERR_ENTRY_FEDERATES_WITH' | 'ERR_ENTRY_DNS_NAME',
  field: string,
  count: number,
  limit: number,
): void {
  if (count > limit) throw fieldError(code, field, `at most ${limit}`, `${count}`);
}
