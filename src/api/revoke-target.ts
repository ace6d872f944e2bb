import type { EntryRegistry } from '../entries/index.ts';
import type { RevocationDraft, RevocationRegistry, SuspensionFact } from '../revocations/index.ts';
import {
  type Clock,
  type RegistrationEntry,
  type Revocation,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { RevocationImpact } from './revocation-messages.ts';
import { allOf, entriesOf, type RevocationTarget } from './revocation-subject.ts';
import { countRunning, type RunningSources } from './running-workloads.ts';

export interface RevokeOptions {
  readonly entries: Pick<EntryRegistry, 'get' | 'list' | 'count'>;
  readonly revocations: Pick<RevocationRegistry, 'add' | 'suspensions'>;
  /** What an agent may serve now. */
  readonly reachOf: (agentId: SpiffeId) => readonly RegistrationEntry[];
  /** How many agents may serve one of these entries. */
  readonly countServing: (entryIds: readonly string[]) => number;
  readonly running: RunningSources;
  /** When the last SVID that was issued until now has ended, milliseconds since the epoch. */
  readonly lastSvidEnd: () => number;
  /** By when it may say it was issued, by a server that does not know of what is suspended now. */
  readonly latestIssue: () => number;
  /** How far the clocks of other servers are ahead. */
  readonly clockAheadMs: () => number;
  readonly clock: Pick<Clock, 'now' | 'setTimer'>;
}

/** What is to be done, and whom it concerns. */
export interface RevocationPlan {
  readonly target: RevocationTarget;
  /** Nothing is suspended. */
  readonly isReissued: boolean;
  /** What is to be refused; others tell SVIDs by their SPIFFE IDs alone, so these are among it. */
  readonly refused: readonly Pick<Revocation, 'kind' | 'value'>[];
  readonly impact: RevocationImpact;
}

/** What was done. */
export interface Revoked {
  readonly revocations: readonly Revocation[];
  readonly suspension: SuspensionFact | undefined;
}

/** SPIFFE IDs that one call takes back. */
const MAX_IDS = 10_000;
const WRITES_AT_ONCE = 64;
const SECOND_MS = 1_000;

/** @throws TrustplaneError ERR_REVOCATION_LIMIT */
export function planRevocation(
  target: RevocationTarget,
  wantsReissue: boolean,
  options: RevokeOptions,
): RevocationPlan {
  const isReissued = wantsReissue || target.kind === 'serial';
  const meant = entriesOf(target, options.entries, options.reachOf);
  const ids = new Map(meant.map(({ spiffeId }) => [spiffeId.toString(), spiffeId]));
  if (ids.size > MAX_IDS) throw tooMany(target, ids.size);
  const { kind, value } = target;
  const named = [...ids.keys()]
    .filter((id) => id !== value)
    .map((id) => ({ kind: 'spiffe-id', value: id }) as const);
  const impact = impactOf(meant, [...ids.values()], isReissued, options);
  return { target, isReissued, refused: [{ kind, value }, ...named], impact };
}

/** Who is concerned when these entries are suspended, or given again. */
export function impactOf(
  meant: readonly RegistrationEntry[],
  ids: readonly SpiffeId[],
  isReissued: boolean,
  { entries, countServing, running }: Pick<RevokeOptions, 'entries' | 'countServing' | 'running'>,
): RevocationImpact {
  const all = [...new Set([...meant, ...ids.flatMap((id) => allOf(id, entries))])];
  const suspendedEntries = isReissued ? 0 : meant.length;
  return {
    suspendedEntries,
    reissuedEntries: all.length - suspendedEntries,
    spiffeIds: ids.length,
    agents: countServing(all.map(({ id }) => id)),
    running: countRunning(all, running),
  };
}

/**
 * Resolves when both facts are durable and known here. What is to be issued anew can be from then on: the
 * instant lies behind.
 * @throws TrustplaneError ERR_SUSPENSION*, ERR_REVOCATION*, ERR_STORE_*
 */
export async function carryOut(
  { target, isReissued, refused }: RevocationPlan,
  said: { readonly reason: string; readonly by: string },
  options: RevokeOptions,
): Promise<Revoked> {
  const { revocations, lastSvidEnd } = options;
  const suspension =
    isReissued || target.kind === 'serial'
      ? undefined
      : await revocations.suspensions.suspend({ kind: target.kind, value: target.value, ...said });
  // Asked for after the suspension is known: who issues later refuses.
  const isAwaited = isReissued && target.kind !== 'serial';
  const issuedBefore = isAwaited ? await passSecond(options) : options.latestIssue() + 1;
  const expiresAt = lastSvidEnd();
  const drafts = refused.map(
    (one): RevocationDraft => ({ ...one, issuedBefore, expiresAt, ...said }),
  );
  const made: Revocation[] = [];
  for (let begin = 0; begin < drafts.length; begin += WRITES_AT_ONCE) {
    const some = drafts.slice(begin, begin + WRITES_AT_ONCE);
    made.push(...(await Promise.all(some.map((draft) => revocations.add(draft)))));
  }
  return { revocations: made, suspension };
}

/** An instant that has just passed for every server, at a whole second, as JWT-SVIDs tell time. */
async function passSecond({ clock, clockAheadMs }: RevokeOptions): Promise<number> {
  const instant = Math.ceil((clock.now() + clockAheadMs() + 1) / SECOND_MS) * SECOND_MS;
  await new Promise<void>((resolve) => {
    const wait = (): void => {
      const left = instant - clock.now();
      if (left <= 0) resolve();
      else clock.setTimer(left, wait);
    };
    wait();
  });
  return instant;
}

function tooMany({ value }: RevocationTarget, count: number): TrustplaneError {
  return new TrustplaneError(
    'ERR_REVOCATION_LIMIT',
    `${value} may have SVIDs of ${count} SPIFFE IDs, and at most ${MAX_IDS} are revoked at once; ban the agent, and revoke its entries, or the authority`,
  );
}
