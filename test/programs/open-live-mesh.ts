import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { Agent } from 'node:http';
import path from 'node:path';
import { parseBootstrapFlags, writeBootstrapJson } from '../../src/envoy/index.ts';
import { eventually } from './eventually.ts';
import { adminSocketOf } from './launch-envoy.ts';
import { launchTrustplane, type RunningTrustplane, runTrustplane } from './launch-trustplane.ts';
import { createRunFolder } from './run-folder.ts';
import { launchSidecars, type SidecarPair } from './sidecar-pair.ts';
import { requestUnix } from './unix-http.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';

export interface LiveMeshOptions {
  /** Of the one policy; each is for the client unless it says otherwise. */
  readonly rules: readonly object[];
  /** Over ADS. Default: each kind on its own stream. */
  readonly isAggregated?: boolean;
  /** What `authz` of the configuration says beside where policies are. */
  readonly authz?: object;
  /** A filter of the Envoy that decides, before its rules. */
  readonly filter?: object;
}

/** Two Envoys, of which the server's decides by rules that the agent gives it, and asks nobody. */
export interface LiveMesh extends AsyncDisposable {
  readonly trustplane: RunningTrustplane;
  readonly pair: SidecarPair;
  /** Directory of the policy. */
  readonly policies: string;
  /** ID of the client's only entry. */
  readonly clientEntry: string;
  /** Puts another policy, of these rules, in the place of the one there is. */
  save(rules: readonly object[]): void;
  /** What the client gets for `GET /a` or another line; `agent` keeps the connection. */
  ask(line: string, agent?: Agent): Promise<number>;
  /** Asks until the answer is that. */
  await(line: string, status: number): Promise<void>;
  /** What administrators are told: how each part is, and what it does. */
  status(): Promise<string>;
  /** The access log of the Envoy that decides, so far. */
  accessLog(): Promise<string>;
}

/** Resolves when both Envoys serve. */
export async function openLiveMesh(options: LiveMeshOptions): Promise<LiveMesh> {
  await using stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const policies = path.join(folder.path, 'policies');
  mkdirSync(policies);
  writeRules(policies, options.rules);
  const config = path.join(folder.path, 'config.yaml');
  await writeFile(config, JSON.stringify({ authz: { policies, ...options.authz } }));
  const trustplane = await launchTrustplane(folder.path, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  const clientEntry = await trustplane.createEntry(clientId);
  await trustplane.createEntry(serverId);
  const log = path.join(folder.path, 'access.log');
  const bootstrap = serverBootstrap(folder.path, trustplane.socket, log, options);
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: trustplane.socket,
    clientId,
    serverId,
    protocol: 'sotw',
    connectionDuration: '3600s',
    editServer: () => bootstrap,
  });
  stack.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const ask = async (line: string, agent?: Agent): Promise<number> => {
    const [method = '', target = ''] = line.split(' ');
    const how = { socketPath: pair.outboundSocket, method, path: target };
    return (await requestUnix({ ...how, ...(agent && { agent }) })).status;
  };
  const open = stack.move();
  return {
    trustplane,
    pair,
    policies,
    clientEntry,
    save: (rules) => writeRules(policies, rules),
    ask,
    async await(line, status) {
      await eventually(`${line} ${status}`, async () => (await ask(line)) === status || undefined);
    },
    async status() {
      const { stdout } = await runTrustplane('status', '--admin-socket', trustplane.adminSocket);
      return stdout;
    },
    accessLog: async () => await readFile(log, 'utf8'),
    [Symbol.asyncDispose]: async () => await open.disposeAsync(),
  };
}

function serverBootstrap(
  folder: string,
  agentSocket: string,
  accessLog: string,
  { isAggregated = false, filter }: LiveMeshOptions,
): string {
  const written = writeBootstrapJson(
    parseBootstrapFlags({
      role: 'server',
      spiffeId: serverId,
      nodeId: 'server',
      agentSocket,
      accessLog,
      admin: adminSocketOf(folder, 'server'),
      listen: path.join(folder, 'inbound.sock'),
      upstream: path.join(folder, 'application.sock'),
      maxConnectionDuration: '1h',
      ads: isAggregated,
    }),
  );
  const rules = /\{\s*"name": "trustplane\.rbac:/u;
  if (!rules.test(written)) throw new Error('the bootstrap has no filter with rules');
  return filter === undefined
    ? written
    : written.replace(rules, (found) => `${JSON.stringify(filter)},${found}`);
}

function writeRules(folder: string, rules: readonly object[]): void {
  const document = {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'p' },
    service: serverId,
    rules: rules.map((rule, at) => ({ id: `r${at}`, from: [clientId], ...rule })),
  };
  writeFileSync(path.join(folder, '.new'), JSON.stringify(document));
  renameSync(path.join(folder, '.new'), path.join(folder, 'p.yaml'));
}
