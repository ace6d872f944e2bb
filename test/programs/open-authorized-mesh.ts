import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import type { Agent } from 'node:http';
import path from 'node:path';
import { type LaunchedAuthz, launchAuthz } from './launch-authz.ts';
import { launchTrustplane, type RunningTrustplane } from './launch-trustplane.ts';
import { createRunFolder } from './run-folder.ts';
import { launchSidecars } from './sidecar-pair.ts';
import { type HttpAnswer, requestUnix } from './unix-http.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';

/** Two Envoys, one of which asks an authorization server of its own, which goes by what an agent knows. */
export interface AuthorizedMesh {
  readonly trustplane: RunningTrustplane;
  /** The first one. */
  readonly authz: LaunchedAuthz;
  /** ID of the client's only entry. */
  readonly clientEntry: string;
  /** Starts the same authorization server once more, after it has ended. */
  restartAuthz(): LaunchedAuthz;
  /** Starts the same server and agent once more, after they have ended. */
  restartTrustplane(): Promise<RunningTrustplane>;
  /** Puts another policy, of these rules, in the place of the one there is. */
  save(rules: readonly object[]): void;
  /** The client asks for `GET /a` or another line; `agent` keeps the connection. */
  ask(line: string, agent?: Agent): Promise<HttpAnswer>;
  close(): Promise<void>;
}

export interface AuthorizedMeshOptions {
  /** Of the one policy; each is for the client. */
  readonly rules: readonly object[];
  /** Flags of `trustplane up`. */
  readonly flags?: readonly string[];
  /** What `authz` of the configuration says beside socket and policies. */
  readonly authz?: object;
  /** How long an mTLS connection may live, as Envoy spells it; default `1s`. */
  readonly connectionDuration?: string;
}

/** Resolves when both Envoys have their certificates. */
export async function openAuthorizedMesh(options: AuthorizedMeshOptions): Promise<AuthorizedMesh> {
  const stack = new AsyncDisposableStack();
  try {
    return await open(options, stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function open(
  options: AuthorizedMeshOptions,
  stack: AsyncDisposableStack,
): Promise<AuthorizedMesh> {
  const { rules, flags = [], authz: more = {}, connectionDuration } = options;
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const policies = path.join(folder.path, 'policies');
  mkdirSync(policies);
  writePolicy(policies, rules);
  const restartTrustplane = async (): Promise<RunningTrustplane> => {
    const trustplane = await launchTrustplane(folder.path, ...flags);
    stack.defer(async () => void (await trustplane.stop()));
    return trustplane;
  };
  const trustplane = await restartTrustplane();
  const restartAuthz = (): LaunchedAuthz => {
    const started = launchAuthz(folder.path, {
      agentSocket: trustplane.socket,
      authz: { policies, ...more },
    });
    stack.defer(async () => void (await started.stop()));
    return started;
  };
  const authz = restartAuthz();
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: trustplane.socket,
    clientId,
    serverId,
    protocol: 'sotw',
    authzSocket: authz.authzSocket,
    ...(connectionDuration !== undefined && { connectionDuration }),
  });
  stack.defer(async () => await pair.stop());
  const clientEntry = await trustplane.createEntry(clientId);
  await trustplane.createEntry(serverId);
  await Promise.all([authz.ready, pair.client.waitReady(), pair.server.waitReady()]);
  const ask = async (line: string, agent?: Agent): Promise<HttpAnswer> => {
    const [method = '', target = ''] = line.split(' ');
    const how = { socketPath: pair.outboundSocket, method, path: target };
    return await requestUnix({ ...how, ...(agent && { agent }) });
  };
  return {
    trustplane,
    authz,
    clientEntry,
    restartAuthz,
    restartTrustplane,
    save: (changed) => writePolicy(policies, changed),
    ask,
    close: async () => await stack.disposeAsync(),
  };
}

function writePolicy(folder: string, rules: readonly object[]): void {
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
