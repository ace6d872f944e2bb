import { randomBytes } from 'node:crypto';
import { createSvidIssuance } from '../api/index.ts';
import { createThrowawayCa } from '../ca/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import { selfTestPeerCredentials } from '../wire/index.ts';
import { type AgentRole, serveAgentRole } from './agent-role.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { openMetrics } from './open-metrics.ts';
import type { Process } from './process.ts';
import { openServerRole, type ServerRole } from './server-role.ts';

/** Server and agent in one process, serving. */
export interface Roles {
  readonly server: ServerRole;
  readonly agent: AgentRole;
}

/** Opens and serves both; closed with `process`. */
export async function serveRoles(config: Config, process: Process, store: Store): Promise<Roles> {
  const { log, metrics } = process;
  const agentId = SpiffeId.of(config.trustDomain, '/spire/agent/local/up');
  const [server] = await both(openServerRole(config, process, store), selfTestPeerCredentials());
  const entitlements = server.entries.authorizedEntries({
    agentId,
    nodeSelectors: process.noSelectors,
  });
  const issuance = createSvidIssuance({
    authorizedEntriesOf: (id) => (id.equals(agentId) ? entitlements : undefined),
    ca: server.ca,
    log,
    metrics,
  });
  const agent = await serveAgentRole(config, process, {
    entitlements,
    issuer: { issue: (requests) => issuance.issue(agentId, requests) },
    trust: server.trust,
    unmatchableCa: createThrowawayCa(process.clock.now(), randomBytes),
  });
  const serverHealth = await server.serve(() => [checkSvids(agent)]);
  await openMetrics(config, process);
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
