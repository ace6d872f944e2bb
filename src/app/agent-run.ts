import { randomBytes } from 'node:crypto';
import { createThrowawayCa } from '../ca/index.ts';
import { type Node, openNode } from '../node/index.ts';
import { openDataDir } from '../ops/index.ts';
import { selfTestPeerCredentials } from '../wire/index.ts';
import { AgentEntitlements } from './agent-entitlements.ts';
import { type AgentRole, serveAgentRole } from './agent-role.ts';
import type { Config } from './config.ts';
import { openNodeAttestation } from './node-attestation.ts';
import { createProcess, type Process } from './process.ts';
import { type Running, runProcess } from './run-process.ts';

/** The agent of a host that is a member of a trust domain whose servers are elsewhere. */
export interface ServedAgent {
  readonly agent: AgentRole;
  readonly node: Node;
}

/**
 * Starts an agent; resolves when its socket is open, where workloads wait until `node.ready`.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function startAgent(
  config: Config,
  process: Process = createProcess(config.logLevel),
): Promise<ServedAgent & Running> {
  return await runProcess(config, process, () => start(config, process));
}

async function start(config: Config, process: Process): Promise<ServedAgent> {
  const { clock, closing, log } = process;
  const dataDir = openDataDir(config.agentDataDir);
  closing.defer(() => dataDir.close());
  await selfTestPeerCredentials();
  const { trustDomain, servers, bootstrap } = config;
  const node = openNode({
    trustDomain,
    servers,
    bootstrap,
    attestation: openNodeAttestation(config.nodeAttestation),
    clock,
    random: Math.random,
    log,
    metrics: process.metrics,
  });
  closing.defer(() => node.close());
  const entitlements = new AgentEntitlements(node.facts, clock);
  closing.defer(() => entitlements.close());
  const agent = await serveAgentRole(config, process, {
    entitlements,
    issuer: node.issuer,
    trust: node.trust,
    unmatchableCa: createThrowawayCa(clock.now(), randomBytes),
  });
  // Last: what a token was spent for must not fail on a socket.
  node.start();
  watchNode(node, process);
  return { agent, node };
}

/** Ready from when it has an SVID and facts; what fails later is shown. */
function watchNode(node: Node, { readiness, log, fail }: Process): void {
  let isReady = false;
  readiness.require('node', () => (isReady ? undefined : 'it has not joined yet'));
  readiness.observe('servers', () => node.status().faults[0]?.message);
  node.ready.then(
    () => {
      isReady = true;
      readiness.check();
      const { agentId, server, entries } = node.status();
      log.info({ agentId: agentId?.toString(), server, entries }, 'ready');
    },
    (error: Error) => fail(error),
  );
}
