import { createHash } from 'node:crypto';
import { assertionLines } from '../authz/analysis/index.ts';
import { canonicalText, compilePlan, type Policy, policySchema, runTests } from '../authz/index.ts';
import { checkDocument, type LocatedYaml, parseStrictYaml } from '../ops/index.ts';
import { messageOf, type PolicyFile, TrustplaneError } from '../spiffe/index.ts';

/** What a set of policy files comes to. */
export interface PolicyCheck {
  /** Of what they say; empty where there are complaints. */
  readonly digest: string;
  readonly policies: number;
  readonly rules: number;
  readonly tests: number;
  /** Each mistake on a line: file:line:column: what is wrong. */
  readonly complaints: readonly string[];
  /** The same of tests that came out otherwise than they say. */
  readonly failedTests: readonly string[];
}

interface ReadPolicy {
  readonly policy: Policy;
  readonly document: LocatedYaml;
}

/** Reads, checks and tries all files together, as who decides by them does. `now`: for tests that name no time. */
export function checkPolicyFiles(
  files: readonly Pick<PolicyFile, 'name' | 'bytes'>[],
  now: number,
): PolicyCheck {
  const complaints: string[] = [];
  const read: ReadPolicy[] = [];
  for (const file of files) {
    try {
      read.push(readPolicy(file));
    } catch (error) {
      complaints.push(...messageOf(error).split('\n'));
    }
  }
  complaints.push(...findSharedNames(read));
  if (complaints.length === 0) complaints.push(...assertionLines(read));
  const counts = {
    policies: read.length,
    rules: read.reduce((sum, { policy }) => sum + policy.rules.length, 0),
    tests: read.reduce((sum, { policy }) => sum + (policy.tests?.length ?? 0), 0),
  };
  if (complaints.length > 0) return { digest: '', ...counts, complaints, failedTests: [] };
  const policies = read.map(({ policy }) => policy);
  const digest = createHash('sha256').update(canonicalText(policies)).digest('hex');
  const plan = compilePlan(policies, digest);
  const failedTests = read.flatMap(({ policy, document }) =>
    runTests(plan, policy, now).map(({ index, message }) => {
      const { line, column } = document.position(['tests', index]);
      return `${document.file}:${line}:${column}: ${message}`;
    }),
  );
  return { digest, ...counts, complaints, failedTests };
}

function readPolicy({ name, bytes }: Pick<PolicyFile, 'name' | 'bytes'>): ReadPolicy {
  const document = parseStrictYaml(decode(name, bytes), name);
  return { document, policy: checkDocument(document, policySchema) };
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TrustplaneError('ERR_POLICY', `${name}: is not UTF-8`, { cause });
  }
}

function findSharedNames(read: readonly ReadPolicy[]): string[] {
  const first = new Map<string, string>();
  return read.flatMap(({ policy: { metadata }, document }) => {
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
