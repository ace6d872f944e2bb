import { type EntryRegistry, WriteQueue } from '../entries/index.ts';
import type { Log } from '../ops/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import { type RegistrationEntry, type SpiffeId, TrustplaneError } from '../spiffe/index.ts';

/** What administrators may do with entries. */
export type EntryStore = Pick<
  EntryRegistry,
  'get' | 'list' | 'count' | 'create' | 'update' | 'delete'
>;

export interface RevokingEntriesOptions {
  readonly entries: EntryStore & Pick<EntryRegistry, 'catchUpNow'>;
  readonly revocations: Pick<RevocationRegistry, 'add' | 'withoutIssuance'>;
  /** When the last SVID that was issued until now has ended, milliseconds since the epoch. */
  readonly lastSvidEnd: () => number;
  /** By when it may say it was issued; milliseconds since the epoch. */
  readonly latestIssue: () => number;
  readonly log: Log;
}

/** Deletions of one batch may all be of one ID. */
const MAX_WAITING = 20_000;

/**
 * Entries whose last one takes the SVIDs of its ID along: before it is deleted, or gets another ID, what
 * was issued to the ID until then is revoked, and nothing is issued to it until it is gone.
 */
export function createRevokingEntries(options: RevokingEntriesOptions): EntryStore {
  const { entries, revocations, lastSvidEnd, latestIssue, log } = options;
  /** By SPIFFE ID. */
  const queue = new WriteQueue(MAX_WAITING, busy);
  const countOf = (spiffeId: SpiffeId): number => entries.count({ spiffeId });

  async function revoke(spiffeId: SpiffeId): Promise<void> {
    try {
      await revocations.add({
        kind: 'spiffe-id',
        value: spiffeId.toString(),
        // This millisecond too.
        issuedBefore: latestIssue() + 1,
        expiresAt: lastSvidEnd(),
        reason: 'the last entry of the ID went',
      });
    } catch (error) {
      if (!(error instanceof TrustplaneError) || error.code !== 'ERR_REVOCATION_LIMIT') throw error;
      // An entry that could not be deleted would be worse than SVIDs that live on until they expire.
      const fields = { spiffeId: spiffeId.toString(), error: error.message };
      log.error(fields, 'SVIDs of an ID without entries are not revoked');
    }
  }

  /** Does what takes one entry away from the ID. */
  async function leave<T>(spiffeId: SpiffeId, work: () => Promise<T>): Promise<T> {
    if (countOf(spiffeId) <= 1) {
      return await revocations.withoutIssuance(spiffeId, async () => {
        await revoke(spiffeId);
        return await work();
      });
    }
    const result = await work();
    // Another server took the others away meanwhile.
    if (countOf(spiffeId) === 0) await revoke(spiffeId);
    return result;
  }

  async function withdraw<T>(
    id: string,
    isLeaving: (entry: RegistrationEntry) => boolean,
    work: () => Promise<T>,
  ): Promise<T> {
    // Another server may have made it: who is told that there is none takes it for gone.
    if (entries.get(id) === undefined) await entries.catchUpNow();
    for (;;) {
      const entry = entries.get(id);
      if (entry === undefined || !isLeaving(entry)) return await work();
      const { spiffeId } = entry;
      const done = await queue.run(spiffeId.toString(), async () => {
        // It may have gone to another ID while this waited.
        const isStill = entries.get(id)?.spiffeId.equals(spiffeId) ?? false;
        return isStill ? { result: await leave(spiffeId, work) } : undefined;
      });
      if (done !== undefined) return done.result;
    }
  }

  return {
    get: (id) => entries.get(id),
    list: (filter, page) => entries.list(filter, page),
    count: (filter) => entries.count(filter),
    create: (draft) => entries.create(draft),
    update: (id, edit, expected) =>
      withdraw(
        id,
        ({ spiffeId }) => (edit.spiffeId ?? spiffeId.toString()) !== spiffeId.toString(),
        () => entries.update(id, edit, expected),
      ),
    delete: (id, expected) =>
      withdraw(
        id,
        () => true,
        () => entries.delete(id, expected),
      ),
  };
}

function busy(spiffeId: string): TrustplaneError {
  const message = `${MAX_WAITING} writes of entries of ${spiffeId} wait for each other, the most allowed; try again`;
  return new TrustplaneError('ERR_ENTRY_CONFLICT', message);
}
