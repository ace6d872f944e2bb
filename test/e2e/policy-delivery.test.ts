import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { policyText } from '../fakes/open-policies.ts';
import { eventually } from '../programs/eventually.ts';
import { askServer } from '../programs/fleet-process.ts';
import { hostId, launchPolicyFleet, writePolicies } from '../programs/launch-policy-fleet.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { launchSidecars } from '../programs/sidecar-pair.ts';
import { requestUnix } from '../programs/unix-http.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';

/** A server, an agent that asks it for policies, and two Envoys, one of which asks the agent about each request. */
async function launch() {
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => await stack.disposeAsync());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const fleet = stack.use(await launchPolicyFleet(folder.path, 1));
  const { adminSocket, agents } = fleet;
  const [agent] = agents;
  if (agent === undefined) throw new Error('there is no agent');
  const selector = `unix:uid:${process.getuid?.() ?? 0}`;
  for (const id of [clientId, serverId]) {
    const entry = ['--spiffe-id', id, '--parent-id', hostId(0), '--selector', selector];
    await askServer(adminSocket, 'entry', 'create', ...entry);
  }
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: agent.socket,
    clientId,
    serverId,
    protocol: 'sotw',
    authzSocket: agent.authzSocket,
  });
  stack.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const directory = path.join(folder.path, 'policies');
  return {
    ...fleet,
    agent,
    /** Runs `trustplane policy ...`. */
    policy: async (...args: readonly string[]) =>
      await runTrustplane('policy', ...args, '--admin-socket', adminSocket),
    directory,
    put: (texts: Readonly<Record<string, string>>) => writePolicies(directory, texts),
    ask: async (target: string) => {
      const request = { socketPath: pair.outboundSocket, method: 'GET', path: target };
      return (await requestUnix({ ...request, headers: {} })).status;
    },
  };
}

it('decides by what was applied to the control plane, and goes on without it', async () => {
  const { policy, put, directory, ask, agent, server, adminSocket } = await launch();
  const apply = async (...flags: readonly string[]) =>
    await policy('apply', '-f', directory, '--reason', 'a change', ...flags);
  expect(await ask('/a')).toBe(403);
  put({ 'server.yaml': policyText('server', '/a') });
  expect(await apply('--wait')).toMatchObject({ code: 0 });
  expect([await ask('/a'), await ask('/b')]).toEqual([200, 403]);

  put({ 'server.yaml': policyText('server', '/b') });
  expect(await apply('--wait')).toMatchObject({ code: 0 });
  expect([await ask('/a'), await ask('/b')]).toEqual([403, 200]);

  put({ 'server.yaml': policyText('server', '/c').replace('rules:', 'rulez:') });
  const refused = await apply('--wait');
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/server\.yaml:6:1: rulez: unknown key/u);
  expect(await ask('/b')).toBe(200);

  // The agent of no server, and with nothing but what it kept.
  await Promise.all([server.kill(), agent.kill()]);
  await agent.start();
  await eventually('an answer', async () => (await ask('/b')) === 200 || undefined);
  expect(await ask('/a')).toBe(403);

  await server.start();
  expect(await policy('rollback', '1', '--reason', 'back', '--wait')).toMatchObject({ code: 0 });
  await eventually('the version before', async () => (await ask('/a')) === 200 || undefined);
  expect(await ask('/b')).toBe(403);
  const status = await askServer(adminSocket, 'policy', 'status');
  expect(status).toMatchObject({
    version: { version: 3, restores: 1, reason: 'back', author: { uid: process.getuid?.() ?? 0 } },
    behind: [],
    agents: [{ connected: true, takers: [{ name: 'authz', state: 'in-force', version: 3 }] }],
  });
  expect(await policy('history', '--verify')).toMatchObject({ code: 0 });
  expect(await policy('status', '--check')).toMatchObject({ code: 0 });
});
