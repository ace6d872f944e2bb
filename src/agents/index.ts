/** Attested agents and the tokens they join with. */
export type { AgentAttestation, AgentSvid, AttestedAgent } from './agent.ts';
export type { AgentFilter } from './agent-filter.ts';
export { AgentRegistry, type AgentRegistryOptions, type PurgeRequest } from './agent-registry.ts';
export type { AgentChange } from './agent-view.ts';
export { type JoinToken, JoinTokens, type JoinTokensOptions } from './join-tokens.ts';
export { lastingAgents, lastingTokens } from './lasting-agents.ts';
export {
  type EvidenceReport,
  RotationEvidence,
  type RotationEvidenceOptions,
} from './rotation-evidence.ts';
export { SharedReads } from './shared-reads.ts';
