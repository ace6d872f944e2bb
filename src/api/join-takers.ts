import type { TakingAgent } from '../policies/index.ts';
import type { SeenServer, ServerDirectory } from '../servers/index.ts';

/** An agent that takes policies, and the server that says so. */
export type ServedAgent = TakingAgent & { readonly serverId: string };

/** Another server, and what it says of its agents that is not said of each. */
export interface ServerSummary {
  readonly serverId: string;
  readonly isLive: boolean;
  /** It says what its agents have of the present version; else of another one, or nothing. */
  readonly isCurrent: boolean;
  readonly connected: number;
  readonly away: number;
  /** Who decides by the present version on the hosts of its agents. */
  readonly inForce: number;
  /** Agents that are connected, do not have it, and are not named. */
  readonly unnamedBehind: number;
}

/** @param head the present version, by its hash */
export function joinTakers(
  own: { readonly serverId: string; readonly agents: readonly TakingAgent[] },
  directory: Pick<ServerDirectory, 'others' | 'isCurrent'> | undefined,
  head: string | undefined,
): { readonly agents: readonly ServedAgent[]; readonly servers: readonly ServerSummary[] } {
  const others = directory?.others ?? [];
  const agents = new Map<string, ServedAgent>();
  for (const agent of own.agents) agents.set(agent.agentId, { ...agent, serverId: own.serverId });
  for (const agent of others.flatMap(agentsOf)) {
    const known = agents.get(agent.agentId);
    if (known === undefined || isLater(agent, known)) agents.set(agent.agentId, agent);
  }
  return {
    agents: [...agents.values()].sort((a, b) => (a.agentId < b.agentId ? -1 : 1)),
    servers: others
      .map((server) => summarize(server, head, directory?.isCurrent === true))
      .sort((a, b) => (a.serverId < b.serverId ? -1 : 1)),
  };
}

/** Agents of a server that is gone are on their way to another. */
function agentsOf({ serverId, record, isLive }: SeenServer): readonly ServedAgent[] {
  const { agents = [] } = record?.policies ?? {};
  return agents.map((agent) => ({
    ...agent,
    serverId,
    isConnected: isLive && agent.isConnected,
  }));
}

/** Where an agent is connected there it is; else where it was last. */
function isLater(agent: ServedAgent, known: ServedAgent): boolean {
  if (agent.isConnected !== known.isConnected) return agent.isConnected;
  return agent.since > known.since;
}

function summarize(
  { serverId, record, isLive }: SeenServer,
  head: string | undefined,
  isHeard: boolean,
): ServerSummary {
  const report = record?.policies;
  const isCurrent = isHeard && isLive && report !== undefined && report.version === head;
  const { connected = 0, away = 0, behind = 0, inForce = 0, agents = [] } = report ?? {};
  const named = agents.filter(
    ({ isConnected, takers }) =>
      isConnected && (takers.length === 0 || takers.some(({ hash }) => hash !== head)),
  ).length;
  return {
    serverId,
    isLive,
    isCurrent,
    connected,
    away,
    inForce: isCurrent ? inForce : 0,
    unnamedBehind: isCurrent ? Math.max(0, behind - named) : 0,
  };
}
