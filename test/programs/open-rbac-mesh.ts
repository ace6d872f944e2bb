import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { type Agent, createServer } from 'node:http';
import path from 'node:path';
import { parseBootstrapFlags, writeBootstrapJson } from '../../src/envoy/index.ts';
import { cluster, http2Options } from '../differential/judged-parts.ts';
import { eventually } from './eventually.ts';
import { adminSocketOf, launchEnvoy, type RunningEnvoy } from './launch-envoy.ts';
import { launchTrustplane, type RunningTrustplane, runTrustplane } from './launch-trustplane.ts';
import { createRunFolder } from './run-folder.ts';
import { type HttpAnswer, requestUnix } from './unix-http.ts';

const CLIENT = 'spiffe://example.org/client';
/** Whose rules the server's Envoy asks for. */
export const rbacService = 'spiffe://example.org/server';
/** The name of the filter, and of what it is given. */
export const rbacName = `trustplane.rbac:${rbacService}`;
/** Two Envoys, one of which decides by the RBAC that it is given over ECDS. */
export interface RbacMesh {
  readonly trustplane: RunningTrustplane;
  /** ID of the client's only entry. */
  readonly clientEntry: string;
  readonly server: RunningEnvoy;
  /** Of the server's Envoy. */
  readonly accessLog: string;
  /** The directory of policies. */
  readonly policies: string;
  /** Starts the same server and agent once more, after they have ended. */
  restartTrustplane(): Promise<RunningTrustplane>;
  /** Puts a policy of these rules, each for the client unless it says otherwise, in the place of the one there is. */
  save(rules: readonly object[]): void;
  /** The client asks, as in `GET /a`; `agent` keeps the connection. */
  ask(line: string, agent?: Agent): Promise<HttpAnswer>;
  /** Resolves when the rules that allow this have come. */
  untilAllowed(line: string): Promise<void>;
  /** What administrators are told: how each part is, and what it does. */
  status(): Promise<string>;
  close(): Promise<void>;
}

export interface RbacMeshOptions {
  /** Of the policy that the agent has at first. */
  readonly rules: readonly object[];
  /** Of further policies of the service, each a file, which are never edited. */
  readonly others?: readonly (readonly object[])[];
  /** What `authz` of the configuration says beside where policies are. */
  readonly authz?: object;
  /** Over ADS. Default: each kind on its own stream. */
  readonly isAggregated?: boolean;
  /** A filter of the Envoy that decides, before its rules. */
  readonly filter?: object;
  /** State of the world instead of delta. */
  readonly isSotw?: boolean;
  /** Who gives the rules, as the state of the world; default the agent. */
  readonly ecdsSocket?: (folder: string) => Promise<string>;
}

/** A policy of these rules, each for the client unless it says otherwise. */
export function rbacPolicy(rules: readonly object[], name: string = 'p'): object {
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name },
    service: rbacService,
    rules: rules.map((rule, at) => ({ id: `r${at}`, from: [CLIENT], ...rule })),
  };
}

/** Resolves when both Envoys have their certificates; that of the server may have no rules yet. */
export async function openRbacMesh(options: RbacMeshOptions): Promise<RbacMesh> {
  await using stack = new AsyncDisposableStack();
  const { rules, others = [], ecdsSocket, isAggregated, filter } = options;
  const { isSotw = ecdsSocket !== undefined } = options;
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const policies = path.join(folder.path, 'policies');
  mkdirSync(policies);
  writePolicy(policies, rules);
  for (const [at, some] of others.entries())
    writeFileSync(
      path.join(policies, `other-${at}.yaml`),
      JSON.stringify(rbacPolicy(some, `other-${at}`)),
    );
  const config = path.join(folder.path, 'up.yaml');
  const authz = ecdsSocket === undefined ? { authz: { policies, ...options.authz } } : {};
  writeFileSync(config, JSON.stringify(authz));
  const trustplane = await launchTrustplane(folder.path, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  const application = createServer((_, response) => void response.end('ok'));
  stack.defer(() => {
    application.close();
    application.closeAllConnections();
  });
  application.listen(path.join(folder.path, 'application.sock'));
  const ecds = await ecdsSocket?.(folder.path);
  const server = await launchSidecar(folder.path, 'server', {
    agentSocket: trustplane.socket,
    isSotw,
    isAggregated,
    edit: (text) => withFilter(filter, ecds === undefined ? text : withRulesOf(ecds, text)),
  });
  stack.defer(async () => await server.stop());
  const client = await launchSidecar(folder.path, 'client', { agentSocket: trustplane.socket });
  stack.defer(async () => await client.stop());
  const clientEntry = await trustplane.createEntry(CLIENT);
  await trustplane.createEntry(rbacService);
  await Promise.all([client.waitReady(), server.waitReady()]);
  const ask = async (line: string, agent?: Agent): Promise<HttpAnswer> => {
    const [method = '', target = ''] = line.split(' ');
    const how = { socketPath: path.join(folder.path, 'egress.sock'), method, path: target };
    return await requestUnix({ ...how, ...(agent && { agent }) });
  };
  const moved = stack.move();
  return {
    trustplane,
    clientEntry,
    server,
    accessLog: path.join(folder.path, 'access.jsonl'),
    policies,
    restartTrustplane: async () => {
      const up = await launchTrustplane(folder.path, '--config', config);
      moved.defer(async () => void (await up.stop()));
      return up;
    },
    save: (changed) => writePolicy(policies, changed),
    ask,
    untilAllowed: async (line) => {
      await eventually(line, async () => (await ask(line)).status === 200, { timeoutMs: 60_000 });
    },
    status: async () => {
      const { stdout } = await runTrustplane('status', '--admin-socket', trustplane.adminSocket);
      return stdout;
    },
    close: async () => await moved.disposeAsync(),
  };
}

function writePolicy(folder: string, rules: readonly object[]): void {
  writeFileSync(path.join(folder, '.new'), JSON.stringify(rbacPolicy(rules)));
  renameSync(path.join(folder, '.new'), path.join(folder, 'p.yaml'));
}

interface SidecarOptions {
  readonly agentSocket: string;
  readonly isSotw?: boolean;
  readonly isAggregated?: boolean | undefined;
  readonly edit?: (bootstrap: string) => string;
}

/** As `trustplane envoy bootstrap` writes it. */
async function launchSidecar(
  folder: string,
  role: 'server' | 'client',
  { agentSocket, isSotw = false, isAggregated = false, edit = (text) => text }: SidecarOptions,
): Promise<RunningEnvoy> {
  const at = (name: string): string => path.join(folder, `${name}.sock`);
  const admin = adminSocketOf(folder, role);
  const common = { agentSocket, admin, nodeId: role, maxConnectionDuration: '2h' };
  const options = parseBootstrapFlags(
    role === 'server'
      ? {
          ...common,
          role,
          spiffeId: rbacService,
          listen: at('inbound'),
          upstream: at('application'),
          sotw: isSotw,
          ads: isAggregated,
          accessLog: path.join(folder, 'access.jsonl'),
        }
      : {
          ...common,
          role,
          spiffeId: CLIENT,
          egress: at('egress'),
          peer: at('inbound'),
          peerId: [rbacService],
        },
  );
  return await launchEnvoy({ folder, name: role, bootstrap: edit(writeBootstrapJson(options)) });
}

function withFilter(filter: object | undefined, bootstrap: string): string {
  if (filter === undefined) return bootstrap;
  const rules = /\{\s*"name":\s*"trustplane\.rbac:/u;
  if (!rules.test(bootstrap)) throw new Error('the bootstrap has no filter with rules');
  return bootstrap.replace(rules, (found) => `${JSON.stringify(filter)},${found}`);
}

/** The same with rules that are asked for elsewhere. */
function withRulesOf(socket: string, bootstrap: string): string {
  const config: { static_resources: { clusters: object[] } } = JSON.parse(
    bootstrap,
    (key, value) => {
      if (key !== 'config_discovery') return value;
      return JSON.parse(JSON.stringify(value).replaceAll('trustplane_agent', 'ecds'));
    },
  );
  config.static_resources.clusters.push(cluster('ecds', socket, http2Options));
  return JSON.stringify(config);
}
