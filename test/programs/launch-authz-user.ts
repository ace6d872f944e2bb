import { accessSync, chmodSync, chownSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { policyText } from '../fakes/open-policies.ts';
import { asUnprivileged, unprivilegedUid } from '../fakes/unprivileged.ts';
import { startAgent, writeBundle } from './launch-agent.ts';
import { launchAuthz } from './launch-authz.ts';
import { launchServer, program } from './launch-server.ts';
import { createRunFolder } from './run-folder.ts';
import { launchSidecars } from './sidecar-pair.ts';
import { requestUnix } from './unix-http.ts';

const HOST = 'spiffe://example.org/host';
const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';

/** Whether programs can run as another user here: by root, from a checkout that others may read. */
export async function canBeAnother(): Promise<boolean> {
  if (process.geteuid?.() !== 0) return false;
  const reads = asUnprivileged(() => accessSync(program, constants.R_OK));
  return await reads.then(
    () => true,
    () => false,
  );
}

/**
 * A server, an agent, an authorization server of another user, which the agent lists, and two Envoys, one of which
 * asks it. The client may read `/a`. Everything ends with the test.
 */
export async function launchAuthzUser(options: { readonly facts?: object } = {}) {
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => await stack.disposeAsync());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const at = (name: string): string => path.join(folder.path, name);
  for (const name of ['server', 'agent', 'own', 'policies']) mkdirSync(at(name), { mode: 0o755 });
  chmodSync(folder.path, 0o755);
  chownSync(at('own'), unprivilegedUid, unprivilegedUid);
  writeFileSync(at('policies/web.yaml'), policyText('web', '/a'));

  const server = await launchServer(at('server'));
  stack.defer(async () => void (await server.stop()));
  const { token } = await server.ask('token', 'generate', '--spiffe-id', HOST);
  const bundle = await writeBundle(at('agent'), server);
  const restartAgent = async () => {
    const started = startAgent(at('agent'), {
      servers: [`127.0.0.1:${server.port}`],
      config: JSON.stringify({ agent: { factsReaders: { uids: [unprivilegedUid] } } }),
      flags: ['--bundle-file', bundle, '--join-token', String(token)],
    });
    stack.defer(async () => void (await started.stop()));
    await started.id;
    return started;
  };
  const agent = await restartAgent();
  const entryOf = async (id: string): Promise<string> => {
    const what = ['--spiffe-id', id, '--parent-id', HOST, '--selector', 'unix:uid:0'];
    return String((await server.ask('entry', 'create', ...what)).id);
  };
  const clientEntry = await entryOf(clientId);
  await entryOf(serverId);
  const asUser = (name: string, uid: number) => {
    const authz = { policies: at('policies'), ...(options.facts && { facts: options.facts }) };
    const started = launchAuthz(at(name), { agentSocket: agent.socket, authz, uid });
    stack.defer(async () => void (await started.stop()));
    return started;
  };
  const authz = asUser('own', unprivilegedUid);
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: agent.socket,
    clientId,
    serverId,
    protocol: 'sotw',
    authzSocket: authz.authzSocket,
  });
  stack.defer(async () => await pair.stop());
  await Promise.all([authz.ready, pair.client.waitReady(), pair.server.waitReady()]);
  return {
    server,
    agent,
    restartAgent,
    authz,
    clientEntry,
    /** Starts another authorization server, of a user that the agent does not list. */
    startUnlisted: () => {
      mkdirSync(at('other'));
      chownSync(at('other'), unprivilegedUid - 1, unprivilegedUid - 1);
      return asUser('other', unprivilegedUid - 1);
    },
    ask: async (target: string) => {
      const request = { socketPath: pair.outboundSocket, method: 'GET', path: target };
      return (await requestUnix({ ...request, headers: {} })).status;
    },
  };
}
