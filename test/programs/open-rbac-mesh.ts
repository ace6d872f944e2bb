import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import type { Agent } from 'node:http';
import path from 'node:path';
import type { RunningEnvoy } from './launch-envoy.ts';
import { launchTrustplane, type RunningTrustplane } from './launch-trustplane.ts';
import { createRunFolder } from './run-folder.ts';
import { launchSidecars } from './sidecar-pair.ts';
import { type HttpAnswer, requestUnix } from './unix-http.ts';

const CLIENT = 'spiffe://example.org/client';
/** Whose rules the server's Envoy asks for. */
export const rbacService = 'spiffe://example.org/server';
/** The name of the filter, and of what it is given. */
export const rbacName = 'trustplane.rbac';
const FILTER = /^ +- name: envoy\.filters\.http\.ext_authz\n(?: {20}.*\n)+/mu;
const TYPES = 'type.googleapis.com/envoy';

/** Two Envoys, one of which decides by the RBAC that it is given over ECDS. */
export interface RbacMesh {
  readonly trustplane: RunningTrustplane;
  readonly server: RunningEnvoy;
  /** Starts the same server and agent once more, after they have ended. */
  restartTrustplane(): Promise<RunningTrustplane>;
  /** Puts a policy of these rules, each for the client unless it says otherwise, in the place of the one there is. */
  save(rules: readonly object[]): void;
  /** The client asks, as in `GET /a`; `agent` keeps the connection. */
  ask(line: string, agent?: Agent): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export interface RbacMeshOptions {
  /** Of the policy that the agent has at first. */
  readonly rules: readonly object[];
  /** What `authz.rbac` says. */
  readonly rbac?: object;
  /** Who gives the rules; default the agent. */
  readonly ecdsSocket?: (folder: string) => Promise<string>;
}

/** A policy of these rules, each for the client unless it says otherwise. */
export function rbacPolicy(rules: readonly object[]): object {
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'p' },
    service: rbacService,
    rules: rules.map((rule, at) => ({ id: `r${at}`, from: [CLIENT], ...rule })),
  };
}

/** Resolves when both Envoys have their certificates; that of the server may have no rules yet. */
export async function openRbacMesh(options: RbacMeshOptions): Promise<RbacMesh> {
  await using stack = new AsyncDisposableStack();
  const { rules, rbac = {}, ecdsSocket } = options;
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const policies = path.join(folder.path, 'policies');
  mkdirSync(policies);
  writePolicy(policies, rules);
  const config = path.join(folder.path, 'up.yaml');
  const authz = ecdsSocket === undefined ? { authz: { policies, rbac } } : {};
  writeFileSync(config, JSON.stringify(authz));
  const trustplane = await launchTrustplane(folder.path, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  const ecds = (await ecdsSocket?.(folder.path)) ?? trustplane.socket;
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: trustplane.socket,
    clientId: CLIENT,
    serverId: rbacService,
    protocol: 'sotw',
    authzSocket: '/nowhere',
    editServer: (bootstrap) => withRbac(bootstrap, ecds),
    connectionDuration: '3600s',
  });
  stack.defer(async () => await pair.stop());
  await trustplane.createEntry(CLIENT);
  await trustplane.createEntry(rbacService);
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const moved = stack.move();
  return {
    trustplane,
    server: pair.server,
    restartTrustplane: async () => {
      const up = await launchTrustplane(folder.path, '--config', config);
      moved.defer(async () => void (await up.stop()));
      return up;
    },
    save: (changed) => writePolicy(policies, changed),
    ask: async (line, agent) => {
      const [method = '', target = ''] = line.split(' ');
      const how = { socketPath: pair.outboundSocket, method, path: target };
      return await requestUnix({ ...how, ...(agent && { agent }) });
    },
    close: async () => await moved.disposeAsync(),
  };
}

function writePolicy(folder: string, rules: readonly object[]): void {
  writeFileSync(path.join(folder, '.new'), JSON.stringify(rbacPolicy(rules)));
  renameSync(path.join(folder, '.new'), path.join(folder, 'p.yaml'));
}

/** The sidecar that asks, deciding by what it is given instead. */
function withRbac(bootstrap: string, ecdsSocket: string): string {
  const lines = [attributes, discoveredRbac].map((filter) => JSON.stringify(filter));
  const items = lines.map((line) => `                  - ${line}\n`).join('');
  const cluster = /pipe: \{ path: \/nowhere \}/u;
  const changed = bootstrap
    .replace(FILTER, () => items)
    .replace(cluster, () => `pipe: { path: ${ecdsSocket} }`);
  if (!changed.includes(rbacName) || cluster.test(changed))
    throw new Error('the bootstrap has no filter that asks');
  return changed;
}

const attributes = {
  name: 'tp-attrs',
  typed_config: {
    '@type': `${TYPES}.extensions.filters.http.set_filter_state.v3.Config`,
    on_request_headers: [
      ['tp.path', '%PATH(NQ:PATH)%'],
      ['tp.serial', '%DOWNSTREAM_PEER_SERIAL%'],
    ].map(([key, format]) => ({
      object_key: key,
      factory_key: 'envoy.string',
      format_string: { text_format_source: { inline_string: format }, omit_empty_values: true },
      skip_if_empty: true,
    })),
  },
};

const denyAll = {
  name: 'no_rules_yet',
  typed_config: {
    '@type': `${TYPES}.config.rbac.v3.Action`,
    name: 'no_rules_yet',
    action: 'DENY',
  },
};

/** Denies everything until the rules are there, and back within a second where it cannot ask. */
const discoveredRbac = {
  name: rbacName,
  config_discovery: {
    type_urls: [`${TYPES}.extensions.filters.http.rbac.v3.RBAC`],
    apply_default_config_without_warming: true,
    default_config: {
      '@type': `${TYPES}.extensions.filters.http.rbac.v3.RBAC`,
      matcher: { on_no_match: { action: denyAll } },
    },
    config_source: {
      resource_api_version: 'V3',
      initial_fetch_timeout: '15s',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [
          {
            envoy_grpc: {
              cluster_name: 'trustplane_authz',
              retry_policy: { retry_back_off: { base_interval: '0.1s', max_interval: '1s' } },
            },
          },
        ],
      },
    },
  },
};
