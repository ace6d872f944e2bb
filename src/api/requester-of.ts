import type { Requester } from '../spiffe/index.ts';
import { callerOf } from '../wire/index.ts';

/** The name of a user of this host; undefined: it has none. */
export type UserNames = (uid: number) => string | undefined;

/** Who makes a call, for the ledger. @throws TrustplaneError ERR_X509_*, ERR_PEER_* */
export function requesterOf(call: { getPeer(): string }, nameOf: UserNames): Requester {
  const caller = callerOf(call);
  if (caller.kind === 'local') {
    const { uid } = caller.peer;
    return { kind: 'user', uid, name: nameOf(uid) };
  }
  if (caller.kind === 'anonymous') return { kind: 'spiffe-id', spiffeId: '' };
  const { spiffeId } = caller.svid;
  const kind = spiffeId.path.startsWith('/spire/agent/') ? 'agent' : 'spiffe-id';
  return { kind, spiffeId: spiffeId.toString() };
}
