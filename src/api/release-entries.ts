import type { EntryRegistry } from '../entries/index.ts';
import { type RegistrationEntry, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';

const PAGE_SIZE = 500;
/** Entries that are written at the same time. */
const CONCURRENCY = 64;

/** What becomes of the entries that federate with a trust domain whose bundle is deleted. */
export type ReleaseMode = 'RESTRICT' | 'DELETE' | 'DISSOCIATE';

/** What is needed of the entries. */
export interface ReleasedEntries {
  list: EntryRegistry['list'];
  update: EntryRegistry['update'];
  delete(id: string): Promise<unknown>;
}

/**
 * Deletes the entries that federate with the trust domain, or takes it from them; returns how many.
 * @throws TrustplaneError ERR_BUNDLE_IN_USE for RESTRICT when there is one; what the registry throws
 */
export async function releaseEntries(
  entries: ReleasedEntries,
  trustDomain: TrustDomain,
  mode: ReleaseMode,
): Promise<number> {
  const meant = federatingWith(entries, trustDomain);
  if (mode === 'RESTRICT' && meant.length > 0) {
    const message = `${meant.length} registration entries federate with ${trustDomain.name}; delete or dissociate them`;
    throw new TrustplaneError('ERR_BUNDLE_IN_USE', message);
  }
  for (let at = 0; at < meant.length; at += CONCURRENCY) {
    const part = meant.slice(at, at + CONCURRENCY);
    await Promise.all(part.map((entry) => release(entries, entry, trustDomain, mode)));
  }
  return meant.length;
}

function federatingWith(
  entries: ReleasedEntries,
  { name }: TrustDomain,
): readonly RegistrationEntry[] {
  const filter = { federatesWith: { match: 'any', values: [name] } } as const;
  const found: RegistrationEntry[] = [];
  let pageToken = '';
  do {
    const page = entries.list(filter, { pageSize: PAGE_SIZE, pageToken });
    found.push(...page.entries);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}

async function release(
  entries: ReleasedEntries,
  { id, federatesWith }: RegistrationEntry,
  trustDomain: TrustDomain,
  mode: ReleaseMode,
): Promise<void> {
  try {
    if (mode === 'DELETE') await entries.delete(id);
    else {
      const others = federatesWith.filter((other) => !other.equals(trustDomain));
      await entries.update(id, { federatesWith: others.map(({ name }) => name) });
    }
  } catch (error) {
    if (!(error instanceof TrustplaneError) || error.code !== 'ERR_ENTRY_NOT_FOUND') throw error;
  }
}
