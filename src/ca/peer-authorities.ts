import { TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { type Authority, kindNames } from './authority.ts';
import type { AuthorityPublisher } from './authority-publisher.ts';
import { type AuthorityStatus, describeAuthority } from './ca-status.ts';
import { checkRevoke, checkTaint, type ForcedSteps } from './forced-steps.ts';
import { createJournal, type JournalCodec } from './journal.ts';

/** What may be done with an authority from any server of the control plane. */
export type SharedSteps = Pick<ForcedSteps<AuthorityStatus>, 'taint' | 'revoke'>;

/** The authorities of one server, as it wrote them last. */
export interface PeerAuthorities {
  readonly serverId: string;
  readonly authorities: readonly AuthorityStatus[];
}

/** The authorities of one kind of the other servers. */
export interface Peers extends SharedSteps {
  /** @throws TrustplaneError ERR_CA_JOURNAL, ERR_STORE_* */
  list(): Promise<readonly PeerAuthorities[]>;
}

export interface PeersOptions<A extends Authority, Entry> {
  /** The bucket `authorities`. */
  readonly bucket: Bucket;
  /** Of this server. */
  readonly serverId: string;
  readonly codec: JournalCodec<A, Entry>;
  readonly publisher: Pick<AuthorityPublisher<A>, 'find' | 'taint' | 'revoke'>;
  /** Whether a server runs: then what it signs with, or is to, is its own to replace. */
  readonly isLive: (serverId: string) => boolean;
}

interface Found<A extends Authority> {
  readonly serverId: string;
  readonly authority: A;
}

/**
 * Acts on the bundle alone: a server whose authority is tainted or revoked there makes another one, and one that
 * comes back finds it so.
 */
export function createPeers<A extends Authority, Entry>(options: PeersOptions<A, Entry>): Peers {
  const { bucket, codec, publisher, serverId: own } = options;
  const { kind } = codec;

  async function all(): Promise<readonly Found<A>[]> {
    const { records } = await bucket.list(`${kind}.`);
    const ids = records.map(({ key }) => key.slice(kind.length + 1)).filter((id) => id !== own);
    const found = await Promise.all(
      ids.map(async (serverId) => {
        const authorities = await createJournal(bucket, serverId, codec).load();
        return authorities.map((authority) => ({ serverId, authority }));
      }),
    );
    return found.flat();
  }

  async function require(authorityId: string): Promise<Found<A>> {
    const found = (await all()).find(({ authority }) => authority.authorityId === authorityId);
    if (found !== undefined) return found;
    throw new TrustplaneError(
      'ERR_CA_AUTHORITY_ID',
      `no server of this control plane has the ${kindNames[kind]} authority ${authorityId}`,
    );
  }

  /** What a server that is gone signed with is as good as old. */
  function asSeen({ serverId, authority }: Found<A>): A {
    const { authorityId, state, upstreamId } = authority;
    if (upstreamId !== undefined) throw upstreamOwned(authorityId, upstreamId);
    if (!options.isLive(serverId)) return { ...authority, state: 'old' };
    if (state === 'old') return authority;
    throw new TrustplaneError(
      'ERR_CA_AUTHORITY_STATE',
      `the authority ${authorityId} is ${state} on the server ${serverId}, which runs; prepare and activate another one there first, or stop that server`,
    );
  }

  const describe = (authority: A): AuthorityStatus =>
    describeAuthority(authority, publisher.find(authority));

  return {
    async taint(authorityId) {
      const authority = asSeen(await require(authorityId));
      checkTaint(authority);
      await publisher.taint(authority);
      return describe(authority);
    },
    async revoke(authorityId) {
      const authority = asSeen(await require(authorityId));
      checkRevoke(authority, publisher.find(authority));
      await publisher.revoke(authority);
      return describe(authority);
    },
    async list() {
      const groups = Map.groupBy(await all(), ({ serverId }) => serverId);
      return [...groups].map(([serverId, found]) => ({
        serverId,
        authorities: found.map(({ authority }) => describe(authority)),
      }));
    },
  };
}

/** What is signed upstream is in no bundle that could say it is tainted, or that it is not there any more. */
export function upstreamOwned(authorityId: string, upstreamId: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_CA_UPSTREAM_OWNED',
    `the authority ${authorityId} is signed by the upstream authority ${upstreamId}, and only that can be tainted or revoked`,
  );
}

/** Steps on authorities of this server, and with those of others on what is none of its. */
export function joinAuthorities(own: SharedSteps, peers: SharedSteps): SharedSteps {
  const orPeers =
    (step: keyof SharedSteps) =>
    async (authorityId: string): Promise<AuthorityStatus> => {
      try {
        return await own[step](authorityId);
      } catch (error) {
        if (!isUnknown(error)) throw error;
        try {
          return await peers[step](authorityId);
        } catch (other) {
          // What is said of the own ones tells more.
          throw isUnknown(other) ? error : other;
        }
      }
    };
  return { taint: orPeers('taint'), revoke: orPeers('revoke') };
}

function isUnknown(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_CA_AUTHORITY_ID';
}
