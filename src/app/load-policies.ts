import { assertionLines } from '../authz/analysis/index.ts';
import { compilePlan, type Plan } from '../authz/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { digestOf, type LoadedPolicy, parsePolicy } from './policy-text.ts';

/** A policy that has not been read. */
export interface PolicyText {
  /** Named in complaints. */
  readonly file: string;
  read(): Promise<Uint8Array>;
}

export interface LoadedPolicies {
  readonly policies: readonly LoadedPolicy[];
  readonly plan: Plan;
}

/**
 * Loads, checks and compiles policies.
 * @throws TrustplaneError ERR_POLICY: the complaints about all files, one on a line
 */
export async function loadPolicies(texts: readonly PolicyText[]): Promise<LoadedPolicies> {
  const complaints: string[] = [];
  const policies: LoadedPolicy[] = [];
  for (const { file, read } of texts) {
    try {
      policies.push(parsePolicy(file, await read()));
    } catch (error) {
      complaints.push(messageOf(error));
    }
  }
  complaints.push(...findSharedNames(policies));
  if (complaints.length === 0) complaints.push(...assertionLines(policies));
  if (complaints.length > 0) throw new TrustplaneError('ERR_POLICY', complaints.join('\n'));
  const checked = policies.map(({ policy }) => policy);
  return { policies, plan: compilePlan(checked, digestOf(checked)) };
}

function findSharedNames(policies: readonly LoadedPolicy[]): string[] {
  const first = new Map<string, string>();
  return policies.flatMap(({ policy: { metadata }, document }) => {
    const other = first.get(metadata.name);
    first.set(metadata.name, other ?? document.file);
    if (other === undefined) return [];
    const { line, column } = document.position(['metadata', 'name']);
    const place = `${document.file}:${line}:${column}`;
    return [
      `${place}: metadata.name: "${metadata.name}" is the name of the policy in ${other} too`,
    ];
  });
}
