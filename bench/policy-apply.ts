import { type PolicyClient, type PolicyStatusView } from '../src/client/index.ts';
import { policyText } from '../test/fakes/open-policies.ts';
import { launchPolicyFleet } from '../test/programs/launch-policy-fleet.ts';
import { against, type Benchmark, percentile } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const AGENTS = Number(process.env['AGENTS'] ?? 20);
const SAMPLES = 50;
const POLICIES = 20;
const LIMIT_MS = 1_000;

/** From the call that applies policies to the last of many agents, each a process, saying that they decide. */
export const policyApply: Benchmark = {
  name: 'policy_apply_to_enforced_p99_ms',
  about: `policy apply of one changed file of ${POLICIES} → in force at ${AGENTS} agents that share this machine; p99 of ${SAMPLES}, rollbacks beside it`,
  async run(report) {
    const { applied, rolledBack } = await withTemporaryFolder(async (folder) => {
      await using fleet = await launchPolicyFleet(folder, AGENTS);
      return await measure(fleet.policies);
    });
    report(`apply: p50 ${at(applied, 50)}, p99 ${at(applied, 99)} ms`);
    report(`rollback: p50 ${at(rolledBack, 50)}, p99 ${at(rolledBack, 99)} ms`);
    return against(policyApply.name, percentile(applied, 99), 'ms', LIMIT_MS);
  },
};

async function measure(policies: PolicyClient) {
  const states = policies.status(true)[Symbol.asyncIterator]();
  const applied: number[] = [];
  const rolledBack: number[] = [];
  // The first one begins threads.
  await policies.apply({ files: filesOf(0), reason: 'first' });
  await inForce(states, 1);
  for (let sample = 1; sample <= SAMPLES; sample++) {
    applied.push(
      await timed(states, async () => {
        const files = filesOf(sample);
        return (await policies.apply({ files, reason: `change ${sample}` })).version?.version;
      }),
    );
    rolledBack.push(
      await timed(states, async () => {
        const version = 2 * sample - 1;
        return (await policies.rollback({ version, reason: 'back' })).version?.version;
      }),
    );
  }
  return { applied, rolledBack };
}

async function timed(
  states: AsyncIterator<PolicyStatusView>,
  change: () => Promise<number | undefined>,
): Promise<number> {
  const began = performance.now();
  await inForce(states, (await change()) ?? 0);
  return performance.now() - began;
}

async function inForce(states: AsyncIterator<PolicyStatusView>, version: number): Promise<void> {
  for (;;) {
    const { done, value } = await states.next();
    if (done === true) throw new Error('the status has ended');
    const status: PolicyStatusView = value;
    const takers = status.agents.flatMap((agent) => agent.takers);
    const isThere = status.version?.version === version && takers.length === AGENTS;
    if (isThere && takers.every(({ state }) => state === 'in-force')) return;
  }
}

function filesOf(change: number) {
  return Array.from({ length: POLICIES }, (_, number) => ({
    name: `p${number}.yaml`,
    content: Buffer.from(policyText(`p${number}`, number === 0 ? `/change/${change}` : '/x')),
  }));
}

function at(times: readonly number[], rank: number): string {
  return percentile(times, rank).toFixed(0);
}
