import type { EntryDraft } from '../entries/index.ts';
import { messageOf, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { DesiredEntry } from './desired.ts';
import { type DraftRules, entryOf } from './entry-faults.ts';
import { readSpireList, type SpireEntry, spireEntry } from './spire-json.ts';

/** What was read, and what of it is not taken over, each with why. */
export interface SpireEntries {
  readonly entries: readonly DesiredEntry[];
  readonly left: readonly string[];
}

/**
 * The entries out of `spire-server entry show -output json`; they keep their IDs.
 * @throws TrustplaneError ERR_IMPORT, also for entries of another trust domain
 */
export function parseSpireEntries(text: string, name: string, rules: DraftRules): SpireEntries {
  const read = readSpireList(text, 'entries', spireEntry, name);
  const entries: DesiredEntry[] = [];
  const left: string[] = [];
  for (const one of read) {
    requireDomain(one, rules.trustDomain, name);
    const source = `${name}: entry ${one.id}`;
    try {
      const draft = draftOf(one);
      entries.push({ draft, entry: entryOf(draft, rules), source });
    } catch (error) {
      left.push(`${source} (${idOf(one.spiffe_id)}): ${messageOf(error)}`);
    }
  }
  return { entries, left };
}

function draftOf(entry: SpireEntry): EntryDraft {
  const { additional_attributes: more } = entry;
  return {
    id: entry.id,
    spiffeId: idOf(entry.spiffe_id),
    parentId: idOf(entry.parent_id),
    selectors: entry.selectors.map(({ type, value }) => ({ type, value })),
    x509SvidTtlSeconds: entry.x509_svid_ttl ?? entry.ttl ?? 0,
    jwtSvidTtlSeconds: entry.jwt_svid_ttl ?? 0,
    federatesWith: entry.federates_with ?? [],
    dnsNames: entry.dns_names ?? [],
    hint: entry.hint ?? '',
    admin: entry.admin ?? false,
    downstream: entry.downstream ?? false,
    storeSvid: entry.store_svid ?? false,
    disableX509SvidPrefetch: more?.disable_x509_svid_prefetch ?? false,
    jwtSvidIncludeJti: more?.jwt_svid_include_jti ?? false,
    expiresAtSeconds: Number(entry.expires_at ?? 0),
  };
}

function requireDomain({ id, spiffe_id }: SpireEntry, own: TrustDomain, name: string): void {
  if (spiffe_id.trust_domain === own.name) return;
  const message = `${name}: entry ${id} is of the trust domain ${spiffe_id.trust_domain}; this server is of ${own.name}`;
  throw new TrustplaneError('ERR_IMPORT', message);
}

function idOf({ trust_domain, path }: SpireEntry['spiffe_id']): string {
  return `spiffe://${trust_domain}${path}`;
}
