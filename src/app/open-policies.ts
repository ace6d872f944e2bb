import { randomBytes } from 'node:crypto';
import type { AgentRegistry } from '../agents/index.ts';
import { createPolicyService } from '../api/index.ts';
import { PolicyRegistry, PolicyTakers } from '../policies/index.ts';
import type { Store } from '../store/index.ts';
import type { GrpcService } from '../wire/index.ts';
import type { ControlPlane } from './control-plane.ts';
import { openUserNames } from './open-audit.ts';
import { PolicyChecker } from './policy-checker.ts';
import type { Process } from './process.ts';

/** The policies of the control plane, and who has them in force. */
export interface Policies {
  readonly policies: PolicyRegistry;
  readonly takers: PolicyTakers;
}

/** Closed with `process`. @throws TrustplaneError ERR_STORE_* */
export async function openPolicies(process: Process, store: Store): Promise<Policies> {
  const { clock, closing, readiness } = process;
  const policies = await PolicyRegistry.load({
    ...process,
    bucket: store.bucket('policies'),
    randomBytes,
  });
  closing.defer(() => policies.close());
  readiness.observe('policy-versions', () => policies.fault);
  return { policies, takers: new PolicyTakers(() => clock.now()) };
}

/** An agent that is gone for good takes none. */
export function forgetTakers(
  takers: PolicyTakers,
  agents: Pick<AgentRegistry, 'watch'>,
): () => void {
  return agents.watch(({ id, agent }) => {
    if (agent === undefined) takers.forget(id);
  });
}

/** trustplane.policy.v1.PolicyService; to be guarded. */
export function servePolicies(
  { clock, closing, log }: Process,
  { policies, takers }: Policies,
  { serverId, directory }: Pick<ControlPlane, 'serverId' | 'directory'>,
): GrpcService {
  const checker = new PolicyChecker(clock);
  closing.defer(() => checker.close());
  return createPolicyService({
    policies,
    takers,
    serverId,
    directory,
    clock,
    userName: openUserNames({ log }),
    check: (files, before, compares) => checker.check(files, before, compares),
  });
}
