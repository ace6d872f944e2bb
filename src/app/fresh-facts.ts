import { SharedReads } from '../agents/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';

/** Of no key: what it lists is empty and says the revision. */
const NOTHING = '-.';

/** Follows a bucket; resolves when it knows what the bucket had at the revision. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
interface Follower {
  catchUp(revision: number): Promise<void>;
}

/** Resolves when what is known here is all that was in the store when it was asked for. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
export type FreshFacts = () => Promise<void>;

/** Of a store that others write too: what they changed may be heard of late, or not at all for a while. */
export function createFreshFacts(
  store: Pick<Store, 'bucket'>,
  { entries, revocations }: { readonly entries: Follower; readonly revocations: Follower },
): FreshFacts {
  const catchUp = async (name: 'entries' | 'revocations', follower: Follower): Promise<void> =>
    await follower.catchUp((await store.bucket(name).list(NOTHING)).revision);
  const reads = new SharedReads(async () => {
    await Promise.all([catchUp('entries', entries), catchUp('revocations', revocations)]);
  });
  return () => reads.read('all');
}

/** Issues by fresh facts alone. */
export function issuingFresh<Request, Result>(
  issuance: { issue(agentId: SpiffeId, request: Request): Promise<Result> },
  facts: FreshFacts | undefined,
): { issue(agentId: SpiffeId, request: Request): Promise<Result> } {
  if (facts === undefined) return issuance;
  return {
    async issue(agentId, request) {
      await facts();
      return await issuance.issue(agentId, request);
    },
  };
}
