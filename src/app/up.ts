import { randomBytes } from 'node:crypto';
import { createThrowawayCa } from '../ca/index.ts';
import { openDataDir } from '../ops/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { selfTestPeerCredentials } from '../wire/index.ts';
import { type AgentRole, serveAgentRole } from './agent-role.ts';
import { both } from './both.ts';
import type { UpConfig } from './config.ts';
import { createProcess, type Process } from './process.ts';
import { openServerRole, type ServerRole } from './server-role.ts';

/** A running server and agent in one process. */
export interface Up {
  readonly server: ServerRole;
  readonly agent: AgentRole;
  /** Resolves when something failed for good. */
  readonly failed: Promise<Error>;
  /** Drains and closes everything, last opened first. */
  close(): Promise<void>;
}

/**
 * Starts server and agent on the embedded store; resolves when both serve.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function startUp(
  config: UpConfig,
  process: Process = createProcess(config.logLevel),
): Promise<Up> {
  try {
    return await start(config, process);
  } catch (error) {
    await process.closing.disposeAsync();
    throw error;
  }
}

async function start(config: UpConfig, process: Process): Promise<Up> {
  const { closing, log } = process;
  if (config.x509SvidTtlMs > config.caTtlMs / 6) {
    log.warn(
      { x509SvidTtlMs: config.x509SvidTtlMs, caTtlMs: config.caTtlMs },
      'X509-SVIDs that live longer than a sixth of the CA are cut short before a rotation',
    );
  }
  const dataDir = openDataDir(config.dataDir);
  closing.defer(() => dataDir.close());
  const agentId = SpiffeId.of(config.trustDomain, '/spire/agent/local/up');
  const [server] = await both(openServerRole(config, process, agentId), selfTestPeerCredentials());
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
  log.info(
    {
      trustDomain: config.trustDomain.name,
      socket: config.socket,
      adminSocket: config.adminSocket,
    },
    'ready',
  );
  return {
    server,
    agent,
    failed: process.failed,
    async close() {
      log.info({}, 'stopping');
      await closing.disposeAsync();
      log.info({}, 'stopped');
    },
  };
}

function checkSvids(agent: AgentRole): { name: string; fault: string | undefined } {
  const { isOk, failing } = agent.workloads.health();
  return {
    name: 'svids',
    fault: isOk ? undefined : `${failing.length} entries have no fresh SVID`,
  };
}
