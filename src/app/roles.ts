import { randomBytes } from 'node:crypto';
import { createThrowawayCa } from '../ca/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import { selfTestPeerCredentials } from '../wire/index.ts';
import { type AgentRole, serveAgentRole } from './agent-role.ts';
import { both } from './both.ts';
import type { UpConfig } from './config.ts';
import type { Process } from './process.ts';
import { openServerRole, type ServerRole } from './server-role.ts';

/** Server and agent in one process, serving. */
export interface Roles {
  readonly server: ServerRole;
  readonly agent: AgentRole;
}

/** Opens and serves both; closed with `process`. */
export async function serveRoles(config: UpConfig, process: Process, store: Store): Promise<Roles> {
  const { closing } = process;
  const agentId = SpiffeId.of(config.trustDomain, '/spire/agent/local/up');
  const [server] = await both(
    openServerRole(config, process, agentId, store),
    selfTestPeerCredentials(),
  );
  const entitlements = server.entries.authorizedEntries({
    agentId,
    nodeSelectors: process.noSelectors,
  });
  const agent = await serveAgentRole(config, process, {
    entitlements,
    issuer: { issue: (requests) => server.issuance.issue(agentId, requests) },
    trust: server.trust,
    unmatchableCa: createThrowawayCa(process.clock.now(), randomBytes),
  });
  const serverHealth = await server.serve(() => [checkSvids(agent)]);
  if (config.metricsAddress !== undefined) {
    // Loaded when it is wanted: node:http takes longer to load than everything else here.
    const { serveMetrics } = await import('../ops/metrics-server.ts');
    const metricsServer = await serveMetrics(config.metricsAddress, process.metrics);
    closing.defer(() => metricsServer.close());
  }
  for (const health of [serverHealth, agent.health]) health.setStatus('', 'SERVING');
  return { server, agent };
}

function checkSvids(agent: AgentRole): { name: string; fault: string | undefined } {
  const { isOk, failing } = agent.workloads.health();
  return {
    name: 'svids',
    fault: isOk ? undefined : `${failing.length} entries have no fresh SVID`,
  };
}
