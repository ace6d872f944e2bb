import { type Behind, type Evidence, fingerprintOf } from './evidence.ts';
import type { SeenServer } from './server-view.ts';

/** An X.509 authority that is to become active. */
export interface AwaitedAuthority {
  /** DER. */
  readonly certificate: Uint8Array;
  /** When it came into the bundle, milliseconds since the epoch. */
  readonly publishedAt: number;
}

/** What stands against an authority. */
export interface Verdict {
  readonly isOpen: boolean;
  readonly behind: readonly Behind[];
  /** When it opens by itself, if that is known; milliseconds since the epoch. */
  readonly opensAt?: number;
}

/**
 * Whether all agents of the other servers know the authority, as far as these have written. Of a server that is
 * gone what it wrote last counts for 30 s: its agents may still be on their way to another.
 * @param holdMs how long those who ask by themselves may have an earlier bundle
 */
export function checkOthers(
  others: readonly SeenServer[],
  { certificate, publishedAt }: AwaitedAuthority,
  { now, holdMs }: { readonly now: number; readonly holdMs: number },
): Verdict {
  const authority = fingerprintOf(certificate);
  const agents = others.flatMap((server) => behindAt(server, authority));
  const opensAt = publishedAt + holdMs;
  const readers = others.flatMap(({ serverId, record }) =>
    now >= opensAt ? [] : readersAt(serverId, record?.evidence, opensAt),
  );
  const laggards = others.flatMap(({ serverId, record }) =>
    (record?.evidence?.laggards ?? []).map((behind) => at(serverId, behind)),
  );
  return {
    isOpen: agents.length + readers.length === 0,
    behind: [...agents, ...readers, ...laggards],
    ...(agents.length === 0 && { opensAt: readers.length === 0 ? publishedAt : opensAt }),
  };
}

/** Both have to be open. */
export function joinVerdicts(one: Verdict, other: Verdict): Verdict {
  const behind = [...one.behind, ...other.behind];
  const isOpen = one.isOpen && other.isOpen;
  if (one.opensAt === undefined || other.opensAt === undefined) return { isOpen, behind };
  return { isOpen, behind, opensAt: Math.max(one.opensAt, other.opensAt) };
}

function behindAt({ serverId, record, isLive }: SeenServer, authority: string): readonly Behind[] {
  const who = `server ${serverId}`;
  const evidence = record?.evidence;
  if (evidence?.known.includes(authority) === true) return [];
  if (!isLive) {
    return [{ who, why: 'is gone; its agents have not confirmed a bundle with it, and have 30 s' }];
  }
  if (evidence === undefined) {
    return [{ who, why: 'has not said yet what its agents have' }];
  }
  const found = evidence.behind.find((each) => each.authority === authority);
  if (found === undefined) return [{ who, why: 'has not said yet who has a bundle with it' }];
  const unnamed = found.count - found.some.length;
  return [
    ...found.some.map((behind) => at(serverId, behind)),
    ...(unnamed > 0 ? [{ who, why: `has ${unnamed} more agents without it` }] : []),
  ];
}

function readersAt(
  serverId: string,
  evidence: Evidence | undefined,
  opensAt: number,
): readonly Behind[] {
  const why = `may have an earlier bundle until ${new Date(opensAt).toISOString()}`;
  return (evidence?.readers ?? []).map((who) => at(serverId, { who, why }));
}

function at(serverId: string, { who, why }: Behind): Behind {
  return { who: `${who} (server ${serverId})`, why };
}
