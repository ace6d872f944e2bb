import {
  createAdminClient,
  createRevocationClient,
  createWorkloadApiClient,
} from '../src/client/index.ts';
import { systemClock } from '../src/ops/index.ts';
import { SpiffeId, TrustplaneError } from '../src/spiffe/index.ts';
import { launchServerAndAgent } from '../test/programs/launch-server-and-agent.ts';
import { followSecrets, watchIdentities } from './identity-streams.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { workloadEntry } from './workload-entry.ts';

const SAMPLES = 200;
const LIMIT_MS = 100;

/** From the call that revokes an ID at the server until an agent's open streams are without it, and a call for it is refused. */
export const revokeToAgent: Benchmark = p99OfRuns({
  name: 'revoke_to_agent_p99_ms',
  about: `an ID revoked at the server → the Workload API and the delta SDS stream of a remote agent are without it, and the agent refuses a JWT-SVID of it; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure,
});

async function measure(folder: string): Promise<number[]> {
  await using fleet = await launchServerAndAgent(folder);
  await using stack = new AsyncDisposableStack();
  const admin = createAdminClient(fleet.adminSocket);
  stack.defer(() => admin.close());
  const revocations = createRevocationClient(fleet.adminSocket);
  stack.defer(() => revocations.close());
  const address = { kind: 'unix', path: fleet.socket } as const;
  const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
  stack.defer(() => client.close());
  // One that stays: a workload without any identity is refused, and its stream ends.
  await admin.createEntry(workloadEntry('/stays', fleet.agentPath));
  const identities = watchIdentities(fleet.socket, stack);
  await identities.settled((ids) => ids.has('spiffe://example.org/stays'));
  const secrets = followSecrets(fleet.socket, stack);
  const times: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const id = `spiffe://example.org/taken/${sample}`;
    await Promise.all([
      admin.createEntry(workloadEntry(`/taken/${sample}`, fleet.agentPath)),
      identities.settled((ids) => ids.has(id)),
      secrets.subscribe(id),
    ]);
    const began = performance.now();
    await Promise.all([
      identities.settled((ids) => !ids.has(id)),
      secrets.removal(id),
      revocations.revoke({
        subject: { spiffeId: id },
        reason: 'measured',
        isReissued: false,
        isDryRun: false,
        isForced: false,
      }),
    ]);
    await requireRefusal(client.fetchJwt(['bench'], SpiffeId.parse(id), 5_000));
    times.push(performance.now() - began);
  }
  return times;
}

async function requireRefusal(call: Promise<unknown>): Promise<void> {
  const error: unknown = await call.then(() => undefined).catch((reason: unknown) => reason);
  if (error instanceof TrustplaneError && error.code === 'ERR_WORKLOAD_NO_IDENTITY') return;
  throw new Error('the agent did not refuse a JWT-SVID of an ID that is suspended', {
    cause: error,
  });
}
