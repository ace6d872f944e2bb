import type { AuthorizedEntries } from '../entries/index.ts';
import { quote, type RegistrationEntry, type SpiffeId, TrustplaneError } from '../spiffe/index.ts';

const MAX_SHOWN = 255;

/**
 * The entry, as it is now, if the agent may serve it now.
 * @throws TrustplaneError ERR_SVID_ENTRY
 */
export function requireAuthorizedEntry(
  authorizedEntriesOf: (agentId: SpiffeId) => Pick<AuthorizedEntries, 'get'> | undefined,
  agentId: SpiffeId,
  entryId: string,
): RegistrationEntry {
  const entry = authorizedEntriesOf(agentId)?.get(entryId);
  if (entry !== undefined) return entry;
  throw new TrustplaneError(
    'ERR_SVID_ENTRY',
    `${agentId.toString()} is not authorized for the entry ${quote(entryId, MAX_SHOWN)}`,
  );
}
