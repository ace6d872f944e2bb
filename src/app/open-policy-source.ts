import { type PolicyTaker, TrustplaneError } from '../spiffe/index.ts';
import type { PolicyPlace } from './authz-schema.ts';
import { type Deciding, followDelivered, watchTaker } from './follow-delivered.ts';
import type { DeliveredPolicies } from './host-facts.ts';
import { laterPolicies } from './later-policies.ts';
import { startPolicyCompiler } from './policy-compiler.ts';
import { followPolicies } from './policy-directory.ts';
import type { PolicySource } from './policy-source.ts';
import type { Process } from './process.ts';
import type { RbacCompiler } from './rbac-export.ts';

/** The policies of this process, for all that decides by them. */
export interface OpenPolicySource {
  readonly source: PolicySource;
  /** Where they were compiled. */
  readonly compiler: RbacCompiler;
  /** Resolves when the first policies were looked at. */
  readonly opened: Promise<unknown>;
  /** They are of the control plane, which wants to know who has them in force. */
  readonly isDelivered: boolean;
  /** Tells which version decides, now and after each change; of policies of a directory never. */
  watchTaker(name: string, deciding: Deciding, onTaker: (taker: PolicyTaker) => void): void;
}

/**
 * Begins to follow them; closed with `process`.
 * @throws TrustplaneError ERR_CONFIG where they are to be delivered, and nobody does
 */
export function openPolicySource(
  place: PolicyPlace,
  process: Process,
  delivered: DeliveredPolicies | undefined,
): OpenPolicySource {
  const { closing, clock } = process;
  const compiler = startPolicyCompiler();
  closing.defer(() => compiler.close());
  if (typeof place === 'string') {
    const opened = followPolicies({ ...process, directory: place, compiler });
    closing.defer(async () => await (await opened).close());
    const source = laterPolicies(opened);
    return { source, compiler, opened, isDelivered: false, watchTaker: () => {} };
  }
  if (delivered === undefined)
    throw new TrustplaneError('ERR_CONFIG', 'authz.policies: no control plane delivers here');
  const source = followDelivered({ ...process, delivered, compiler });
  closing.defer(() => source.close());
  return {
    source,
    compiler,
    opened: Promise.resolve(),
    isDelivered: true,
    watchTaker(name, deciding, onTaker) {
      closing.defer(watchTaker(name, source, deciding, clock, onTaker));
    },
  };
}
