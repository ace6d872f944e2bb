import { randomBytes } from 'node:crypto';
import { createThrowawayCa } from '../ca/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import { selfTestPeerCredentials } from '../wire/index.ts';
import { type AgentRole, type AgentSources, serveAgentRole } from './agent-role.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { explainLocal } from './explain-sources.ts';
import { openFleet } from './fleet.ts';
import { HostTakers, takesPolicies } from './host-takers.ts';
import { type BundleEndpoint, openBundleEndpoint } from './open-bundle-endpoint.ts';
import type { Process } from './process.ts';
import { type Server, serveAdministrators, serveAgents } from './server.ts';
import { openServerRole } from './server-role.ts';

/** Server and agent in one process, serving. */
export interface Roles {
  readonly server: Server;
  readonly agent: AgentRole;
  /** Where agents on other hosts reach the server, if they may. */
  readonly address: { readonly host: string; readonly port: number } | undefined;
  /** Where anybody reads the bundle, if they may. */
  readonly bundleEndpoint: BundleEndpoint | undefined;
}

/** Opens and serves both; closed with `process`. */
export async function serveRoles(config: Config, process: Process, store: Store): Promise<Roles> {
  const id = SpiffeId.of(config.trustDomain, '/spire/agent/local/up');
  const [role] = await both(openServerRole(config, process, store), selfTestPeerCredentials());
  const entries = role.entries.authorizedEntries({
    agentId: id,
    nodeSelectors: process.noSelectors,
  });
  // Before the others are known: what is signed next waits for it too.
  role.evidence.onConnected(id);
  const fleet = await openFleet(config, process, store, role, { id, entries });
  const server = { role, fleet };
  const takers = new HostTakers((all) => role.takers.onTakers(id, all));
  if (takesPolicies(config)) role.takers.onConnected(id);
  const agent = await serveAgentRole(config, process, {
    entitlements: complete(entries),
    issuer: { issue: (requests) => fleet.issuance.issue(id, requests) },
    jwtIssuer: { issue: (request) => fleet.jwtIssuance.issue(id, request) },
    trust: role.trust,
    revocations: role.revocations,
    crls: role.crls,
    policies: role.policies,
    onFactsReports: (reports) => takers.setOthers(reports),
    onPolicyTaker: (taker) => takers.setOwn(taker),
    onEnvoys: (envoys) => takers.setEnvoys(envoys),
    explain: explainLocal(fleet.knowledge, id, entries),
    unmatchableCa: createThrowawayCa(process.clock.now(), randomBytes),
    onBundleConfirmed: ({ bundleDigest, laggards }) =>
      role.evidence.onConfirmed(id, bundleDigest, laggards),
  });
  const { noSelectors: nodeSelectors } = process;
  fleet.workloads.addLocal(() => ({
    agentId: id,
    nodeSelectors,
    groups: agent.workloads.groups(),
  }));
  const { bindAddress } = config;
  const agents = bindAddress && (await serveAgents(bindAddress, process, server));
  const bundleEndpoint = await openBundleEndpoint(config, process, role);
  await serveAdministrators(config, process, server, { agents, bundleEndpoint });
  const address = agents && { host: agents.host, port: agents.port };
  return { server, agent, address, bundleEndpoint };
}

/** Entries in the same process: nothing is known elsewhere. */
function complete(
  entries: Omit<AgentSources['entitlements'], 'isComplete'>,
): AgentSources['entitlements'] {
  return {
    match: (selectors) => entries.match(selectors),
    get: (entryId) => entries.get(entryId),
    watch: (listener) => entries.watch(listener),
    isComplete: () => true,
  };
}
