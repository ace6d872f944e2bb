import type { EntryDraft, EntryEdit } from '../entries/index.ts';
import { type Selector, TrustplaneError } from '../spiffe/index.ts';
import { type EntryMask, parseSpiffeId, type WireEntry, type WireSelector } from '../sync/index.ts';

/** @throws TrustplaneError ERR_ENTRY_SPIFFE_ID, ERR_ENTRY_PARENT_ID, ERR_ENTRY_EXPIRY */
export function parseEntryDraft(entry: WireEntry): EntryDraft {
  return {
    ...(entry.id === undefined || entry.id === '' ? {} : { id: entry.id }),
    spiffeId: parseSpiffeId(entry.spiffe_id, 'spiffe_id', 'ERR_ENTRY_SPIFFE_ID').toString(),
    parentId: parseSpiffeId(entry.parent_id, 'parent_id', 'ERR_ENTRY_PARENT_ID').toString(),
    selectors: parseWireSelectors(entry.selectors),
    ...parseOptional(entry),
  };
}

/** The fields that an update sets: those of the mask, revision and creation never. @throws as `parseEntryDraft` */
export function parseEntryEdit(entry: WireEntry, mask: EntryMask): EntryEdit {
  if (mask === undefined || mask === null) {
    const { id: _, ...edit } = parseEntryDraft(entry);
    return edit;
  }
  const given = parseOptional(entry);
  return {
    ...(mask.spiffe_id === true && {
      spiffeId: parseSpiffeId(entry.spiffe_id, 'spiffe_id', 'ERR_ENTRY_SPIFFE_ID').toString(),
    }),
    ...(mask.parent_id === true && {
      parentId: parseSpiffeId(entry.parent_id, 'parent_id', 'ERR_ENTRY_PARENT_ID').toString(),
    }),
    ...(mask.selectors === true && { selectors: parseWireSelectors(entry.selectors) }),
    ...(mask.x509_svid_ttl === true && { x509SvidTtlSeconds: given.x509SvidTtlSeconds }),
    ...(mask.jwt_svid_ttl === true && { jwtSvidTtlSeconds: given.jwtSvidTtlSeconds }),
    ...(mask.federates_with === true && { federatesWith: given.federatesWith }),
    ...(mask.dns_names === true && { dnsNames: given.dnsNames }),
    ...(mask.hint === true && { hint: given.hint }),
    ...(mask.admin === true && { admin: given.admin }),
    ...(mask.downstream === true && { downstream: given.downstream }),
    ...(mask.store_svid === true && { storeSvid: given.storeSvid }),
    ...(mask.expires_at === true && { expiresAtSeconds: given.expiresAtSeconds }),
    ...(mask.additional_attributes === true && {
      disableX509SvidPrefetch: given.disableX509SvidPrefetch,
      jwtSvidIncludeJti: given.jwtSvidIncludeJti,
    }),
  };
}

function parseWireSelectors(selectors: readonly WireSelector[] | undefined): readonly Selector[] {
  return (selectors ?? []).map(({ type, value }) => ({ type: type ?? '', value: value ?? '' }));
}

function parseOptional(entry: WireEntry) {
  return {
    x509SvidTtlSeconds: entry.x509_svid_ttl ?? 0,
    jwtSvidTtlSeconds: entry.jwt_svid_ttl ?? 0,
    federatesWith: entry.federates_with ?? [],
    dnsNames: entry.dns_names ?? [],
    hint: entry.hint ?? '',
    admin: entry.admin ?? false,
    downstream: entry.downstream ?? false,
    storeSvid: entry.store_svid ?? false,
    expiresAtSeconds: parseExpiry(entry.expires_at ?? '0'),
    disableX509SvidPrefetch: entry.additional_attributes?.disable_x509_svid_prefetch ?? false,
    jwtSvidIncludeJti: entry.additional_attributes?.jwt_svid_include_jti ?? false,
  };
}

function parseExpiry(text: string): number {
  const seconds = Number(text);
  if (Number.isSafeInteger(seconds)) return seconds;
  throw new TrustplaneError(
    'ERR_ENTRY_EXPIRY',
    `expires_at: expected seconds since the epoch; got ${text}`,
  );
}
