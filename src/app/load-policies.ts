import { compilePlan, type Plan } from '../authz/index.ts';
import {
  digestOf,
  findSharedMistakes,
  type ReadPolicy,
  readPolicy,
} from '../policies/texts/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

/** A policy that has not been read. */
export interface PolicyText {
  /** Named in complaints. */
  readonly file: string;
  readonly read: () => Promise<Uint8Array>;
}

export interface LoadedPolicies {
  readonly policies: readonly ReadPolicy[];
  readonly plan: Plan;
}

/**
 * Loads, checks and compiles policies.
 * @throws TrustplaneError ERR_POLICY: the complaints about all files, one on a line
 */
export async function loadPolicies(texts: readonly PolicyText[]): Promise<LoadedPolicies> {
  const complaints: string[] = [];
  const policies: ReadPolicy[] = [];
  for (const text of texts) {
    try {
      policies.push(readPolicy({ name: text.file, bytes: await text.read() }));
    } catch (error) {
      complaints.push(messageOf(error));
    }
  }
  complaints.push(...findSharedMistakes(policies, complaints.length === 0));
  if (complaints.length > 0) throw new TrustplaneError('ERR_POLICY', complaints.join('\n'));
  const checked = policies.map(({ policy }) => policy);
  return { policies, plan: compilePlan(checked, digestOf(checked)) };
}
