/** Tells what policies come to for all requests at once: assertions, lints, differences, who can do what; exact, and pure. */

export { assertionLines } from './assertion-lines.ts';
export { type ChangeKind, diffPolicies, type PolicyDiff } from './diff-policies.ts';
export { type Access, whatCan, whoCan } from './find-access.ts';
export type { LintFinding } from './lint-finding.ts';
export { lintPolicies } from './lint-policies.ts';
export { parseId, parseOperation } from './parse-questions.ts';
export { formatTest, type WitnessTest } from './witness.ts';
