import { compileSetFilter, type SetFilter } from '../store/index.ts';
import { type AttestedAgent, agentExpiresAt, selectorTexts } from './agent.ts';

/** Which agents are meant; every part that is given must hold. */
export interface AgentFilter {
  readonly attestationType?: string;
  /** Selector texts. */
  readonly selectors?: SetFilter;
  readonly banned?: boolean;
  readonly canReattest?: boolean;
  /** Milliseconds since the epoch: its last SVID ends before. */
  readonly expiresBefore?: number;
}

export function compileAgentFilter(filter: AgentFilter): (agent: AttestedAgent) => boolean {
  const { attestationType, banned, canReattest, expiresBefore } = filter;
  const selectors = compileSetFilter(filter.selectors);
  return (agent) =>
    (attestationType === undefined || agent.attestationType === attestationType) &&
    (banned === undefined || agent.banned === banned) &&
    (canReattest === undefined || agent.canReattest === canReattest) &&
    (expiresBefore === undefined || agentExpiresAt(agent) < expiresBefore) &&
    selectors(() => selectorTexts(agent));
}
