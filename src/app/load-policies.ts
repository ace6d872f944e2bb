import { createHash } from 'node:crypto';
import { assertionLines } from '../authz/analysis/index.ts';
import {
  canonicalText,
  compilePlan,
  type Plan,
  type Policy,
  policySchema,
} from '../authz/index.ts';
import { checkDocument, type LocatedYaml, parseStrictYaml, readFileBounded } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

const MAX_POLICY_BYTES = 1_048_576;

/** A policy and where it stands. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly document: LocatedYaml;
}

export interface LoadedPolicies {
  readonly policies: readonly LoadedPolicy[];
  readonly plan: Plan;
}

/**
 * Loads, checks and compiles the policies of files.
 * @throws TrustplaneError ERR_POLICY: the complaints about all files, one on a line
 */
export async function loadPolicies(files: readonly string[]): Promise<LoadedPolicies> {
  const complaints: string[] = [];
  const policies: LoadedPolicy[] = [];
  for (const file of files) {
    try {
      policies.push(await loadPolicy(file));
    } catch (error) {
      complaints.push(messageOf(error));
    }
  }
  complaints.push(...findSharedNames(policies));
  if (complaints.length === 0) complaints.push(...assertionLines(policies));
  if (complaints.length > 0) throw new TrustplaneError('ERR_POLICY', complaints.join('\n'));
  const checked = policies.map(({ policy }) => policy);
  const digest = createHash('sha256').update(canonicalText(checked)).digest('hex');
  return { policies, plan: compilePlan(checked, digest) };
}

async function loadPolicy(file: string): Promise<LoadedPolicy> {
  const document = parseStrictYaml(await readText(file), file);
  return { document, policy: checkDocument(document, policySchema) };
}

async function readText(file: string): Promise<string> {
  const bytes = await readFileBounded(file, MAX_POLICY_BYTES);
  if (bytes === undefined)
    throw new TrustplaneError('ERR_POLICY', `${file}: there is no such file`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TrustplaneError('ERR_POLICY', `${file}: is not UTF-8`, { cause });
  }
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
