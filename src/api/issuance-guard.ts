import type { AuthorizedEntries } from '../entries/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';

type EntriesOf = (agentId: SpiffeId) => Pick<AuthorizedEntries, 'get'> | undefined;

/**
 * Entries for which an SVID may be issued now: one that says it was issued at `instant()` must not be
 * refused from the beginning. `get` throws TrustplaneError ERR_SVID_REVOKED where it would be.
 */
export function guardIssuance(
  entriesOf: EntriesOf,
  revocations: Pick<RevocationRegistry, 'checkIssuance'>,
  instant: () => number,
): EntriesOf {
  return (agentId) => {
    const entries = entriesOf(agentId);
    return (
      entries && {
        get(entryId) {
          const entry = entries.get(entryId);
          if (entry === undefined) return undefined;
          const { spiffeId } = entry;
          revocations.checkIssuance({ spiffeId, entryId, agentId, issuedAt: instant() });
          return entry;
        },
      }
    );
  };
}
