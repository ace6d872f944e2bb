import { compilePlan, runTests } from '../authz/index.ts';
import { messageOf, type PolicyFile } from '../spiffe/index.ts';
import { digestOf, findSharedMistakes, type ReadPolicy, readPolicy } from './texts/index.ts';

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

/** A mistake in a template may be in ten thousand rules. */
const MAX_LINES = 500;
const MAX_CHARS = 1_000;

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
  complaints.push(...findSharedMistakes(read, complaints.length === 0));
  const counts = {
    policies: read.length,
    rules: read.reduce((sum, { policy }) => sum + policy.rules.length, 0),
    tests: read.reduce((sum, { policy }) => sum + (policy.tests?.length ?? 0), 0),
  };
  if (complaints.length > 0)
    return { digest: '', ...counts, complaints: bounded(complaints), failedTests: [] };
  const policies = read.map(({ policy }) => policy);
  const digest = digestOf(policies);
  const plan = compilePlan(policies, digest);
  const failedTests = read.flatMap(({ policy, document }) =>
    runTests(plan, policy, now).map(({ index, message }) => {
      const { line, column } = document.position(['tests', index]);
      return `${document.file}:${line}:${column}: ${message}`;
    }),
  );
  return { digest, ...counts, complaints, failedTests: bounded(failedTests) };
}

/** As many as anybody reads. */
function bounded(lines: readonly string[]): readonly string[] {
  const some = lines.slice(0, MAX_LINES).map((line) => line.slice(0, MAX_CHARS));
  const more = lines.length - some.length;
  return more === 0 ? some : [...some, `and ${more} more`];
}
