/** The policies of the control plane in versions, chained by hashes, and who has which in force. */
export { changedDecisions } from './changed-decisions.ts';
export { checkPolicyFiles, type PolicyCheck } from './check-policy-files.ts';
export {
  type PolicyChange,
  type PolicyDraft,
  PolicyRegistry,
  type PolicyRegistryOptions,
} from './policy-registry.ts';
export { PolicyTakers, type TakingAgent } from './policy-takers.ts';
export type { PolicyAuthor, PolicyVersion } from './policy-version.ts';
