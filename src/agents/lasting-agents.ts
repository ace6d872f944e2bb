import type { TrustDomain } from '../spiffe/index.ts';
import { type LastingRecords, readOrUndefined } from '../store/index.ts';
import type { AttestedAgent } from './agent.ts';
import { decodeAgentRecord, encodeAgentRecord } from './agent-record.ts';
import { decodeJoinToken } from './join-token-record.ts';

/** A banned agent stays banned until it is evicted, and an SVID that was replaced stays so. */
export function lastingAgents(trustDomain: TrustDomain): LastingRecords {
  return {
    bucket: 'agents',
    prefix: '',
    keeps: 'all',
    endOf: () => undefined,
    join(key, known, stored) {
      const read = (value: Uint8Array | undefined) =>
        value && readOrUndefined(() => decodeAgentRecord(key, value, trustDomain));
      const kept = read(known);
      if (kept === undefined) return undefined;
      if (stored === undefined) return kept.banned ? known : undefined;
      const there = read(stored);
      if (there === undefined) return undefined;
      const joined = joinAgents(kept, there);
      return joined === there ? undefined : encodeAgentRecord(joined);
    },
  };
}

/** A token that is spent stays so. */
export const lastingTokens: LastingRecords = {
  bucket: 'tokens',
  prefix: '',
  keeps: 'all',
  endOf: (key, value) => readOrUndefined(() => decodeJoinToken(key, value).expiresAt),
  join(key, known, stored) {
    const isSpent = (value: Uint8Array): boolean =>
      readOrUndefined(() => decodeJoinToken(key, value).isSpent) === true;
    if (!isSpent(known)) return undefined;
    return stored === undefined || !isSpent(stored) ? known : undefined;
  },
};

/** One that attested later for the first time was evicted in between, and is another. */
function joinAgents(kept: AttestedAgent, there: AttestedAgent): AttestedAgent {
  if (there.attestedAt > kept.attestedAt) return there;
  const isLater = there.attestedAt === kept.attestedAt && standing(there) >= standing(kept);
  const later = isLater ? there : kept;
  const banned = kept.banned || there.banned;
  return later.banned === banned ? later : { ...later, banned };
}

/** Serial numbers begin with the instant of issue: of two the later is the greater. Once it is in use the one before is void. */
function standing({ svid, renewedSvid }: AttestedAgent): bigint {
  const last = BigInt(`0x${(renewedSvid ?? svid).serialNumber}`);
  return last * 2n + (renewedSvid === undefined ? 1n : 0n);
}
