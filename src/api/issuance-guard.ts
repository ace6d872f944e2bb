import type { AuthorizedEntries } from '../entries/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import type { RegistrationEntry, SpiffeId } from '../spiffe/index.ts';

type EntriesOf = (agentId: SpiffeId) => Pick<AuthorizedEntries, 'get'> | undefined;

export interface IssuanceGuardOptions {
  readonly entriesOf: EntriesOf;
  /** An entry by its ID, also one that no agent may serve since it is suspended. */
  readonly entryOf: (entryId: string) => RegistrationEntry | undefined;
  readonly revocations: Pick<RevocationRegistry, 'checkIssuance' | 'suspensions'>;
  /** When an SVID that is issued now says it was; milliseconds since the epoch. */
  readonly instant: () => number;
}

/**
 * Entries for which an SVID may be issued now: one that says it was issued at `instant()` must not be
 * refused from the beginning. `get` throws TrustplaneError ERR_SVID_REVOKED where it would be, and ERR_SVID_SUSPENDED
 * where there is to be none.
 */
export function guardIssuance(options: IssuanceGuardOptions): EntriesOf {
  const { entriesOf, entryOf, revocations, instant } = options;
  return (agentId) => {
    const entries = entriesOf(agentId);
    return (
      entries && {
        get(entryId) {
          const entry = entries.get(entryId);
          const spiffeId = (entry ?? entryOf(entryId))?.spiffeId;
          if (spiffeId === undefined) return undefined;
          // Why it is none of the agent's, if that is why.
          if (entry === undefined) revocations.suspensions.check({ spiffeId, entryId, agentId });
          else revocations.checkIssuance({ spiffeId, entryId, agentId, issuedAt: instant() });
          return entry;
        },
      }
    );
  };
}
