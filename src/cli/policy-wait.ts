import type { PolicyClient, PolicyStatusView, PolicyVersionView } from '../client/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { listBehind } from './policy-text.ts';

export interface WaitResult {
  /** How many have the version in force. */
  readonly inForce: number;
  /** Agents that are not connected, by ID. */
  readonly away: readonly string[];
  readonly ms: number;
}

/**
 * Resolves when all who are connected have the version in force.
 * @throws TrustplaneError ERR_POLICY_REFUSED, ERR_POLICY_WAIT, ERR_POLICY_CONFLICT when it is replaced meanwhile
 */
export async function awaitPolicies(
  client: Pick<PolicyClient, 'status'>,
  version: PolicyVersionView,
  limitMs: number,
): Promise<WaitResult> {
  const began = performance.now();
  let last: PolicyStatusView | undefined;
  const late = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => late.resolve('late'), limitMs);
  const states = client.status(true)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([states.next(), late.promise]);
      if (next === 'late') throw tooLate(version, last);
      if (next.done === true)
        throw new TrustplaneError('ERR_POLICY_WAIT', 'the server ended its stream');
      last = next.value;
      const inForce = judge(version, last);
      if (inForce === undefined) continue;
      const away = last.agents.filter(({ connected }) => !connected).map(({ id }) => id);
      return { inForce, away, ms: Math.round(performance.now() - began) };
    }
  } finally {
    clearTimeout(timer);
    // Its next message is waited for no longer.
    void states.return?.(undefined)?.catch(() => {});
  }
}

/** How many have it in force, when all have. */
function judge({ version }: PolicyVersionView, status: PolicyStatusView): number | undefined {
  const present = status.version?.version ?? 0;
  if (present > version) {
    const message = `version ${version} was replaced by version ${present} meanwhile`;
    throw new TrustplaneError('ERR_POLICY_CONFLICT', message);
  }
  const behind = listBehind(status).filter(({ connected }) => connected);
  const refused = behind.filter(({ state }) => state === 'refused');
  if (refused.length > 0)
    throw new TrustplaneError(
      'ERR_POLICY_REFUSED',
      refused.map(({ id, name, why }) => `${id} (${name}) refused it: ${why}`).join('\n'),
    );
  if (present < version || behind.length > 0) return undefined;
  return status.agents
    .filter(({ connected, server }) => connected && server === status.server)
    .map(({ takers }) => takers.length)
    .concat(status.servers.map(({ inForce }) => inForce))
    .reduce((sum, count) => sum + count, 0);
}

function tooLate({ version }: PolicyVersionView, last: PolicyStatusView | undefined) {
  const behind = last === undefined ? [] : listBehind(last).filter(({ connected }) => connected);
  const lines = behind.map(({ id, name, why }) => `${id} (${name}): ${why}`);
  return new TrustplaneError(
    'ERR_POLICY_WAIT',
    [`version ${version} is made, but not in force everywhere yet:`, ...lines].join('\n'),
  );
}
