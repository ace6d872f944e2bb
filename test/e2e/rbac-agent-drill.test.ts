import { once } from 'node:events';
import { createServer } from 'node:http';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { policyText } from '../fakes/open-policies.ts';
import { eventually } from '../programs/eventually.ts';
import { askServer } from '../programs/fleet-process.ts';
import { hostId, launchPolicyFleet, writePolicies } from '../programs/launch-policy-fleet.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { launchMadeSidecars, madeIds } from '../programs/made-sidecars.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { requestUnix } from '../programs/unix-http.ts';

/** The least that can be configured. */
const TTL_SECONDS = 5;

/** A server, an agent that nobody can ask about requests, and two Envoys, one of which decides by its rules. */
async function launch(rbac: object) {
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => await stack.disposeAsync());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const { adminSocket, agents } = stack.use(await launchPolicyFleet(folder.path, 1, rbac));
  const [agent] = agents;
  if (agent === undefined) throw new Error('there is no agent');
  const selector = `unix:uid:${process.getuid?.() ?? 0}`;
  for (const id of Object.values(madeIds)) {
    const entry = ['--spiffe-id', id, '--parent-id', hostId(0), '--selector', selector];
    await askServer(adminSocket, 'entry', 'create', ...entry);
  }
  const both = { maxConnectionDuration: '1h' };
  const sidecars = await launchMadeSidecars(folder.path, agent.socket, { both });
  stack.defer(async () => await sidecars.stop());
  const application = createServer((_, response) => void response.end('ok'));
  stack.defer(() => {
    application.close();
    application.closeAllConnections();
  });
  await once(application.listen(sidecars.application), 'listening');
  await Promise.all([sidecars.client.waitReady(), sidecars.server.waitReady()]);
  const directory = path.join(folder.path, 'policies');
  const ask = async (target: string): Promise<number> =>
    (await requestUnix({ socketPath: sidecars.egress, path: target })).status;
  return {
    agent,
    adminSocket,
    ask,
    /** Puts a policy in force that allows that path; resolves when each Envoy decides by it. */
    apply: async (target: string) => {
      writePolicies(directory, { 'server.yaml': policyText('server', target) });
      const flags = ['--reason', 'a change', '--wait', '--admin-socket', adminSocket];
      expect(await runTrustplane('policy', 'apply', '-f', directory, ...flags)).toMatchObject({
        code: 0,
      });
    },
    until: async (target: string, status: number) =>
      await eventually(`${target} ${status}`, async () => (await ask(target)) === status, {
        timeoutMs: 60_000,
      }),
  };
}

it('decides by the last rules while its agent is away, however long, and by new ones once it is back', async () => {
  const { agent, adminSocket, ask, apply, until } = await launch({});
  expect(await ask('/a')).toBe(403);
  await apply('/a');
  expect([await ask('/a'), await ask('/b')]).toEqual([200, 403]);
  await agent.kill();
  const longer = performance.now() + 1.5 * TTL_SECONDS * 1_000;
  while (performance.now() < longer) expect([await ask('/a'), await ask('/b')]).toEqual([200, 403]);
  await agent.start();
  await apply('/b');
  // The agent is back before the Envoy has found it again, and waits for nobody it does not know.
  await until('/b', 200);
  expect(await ask('/a')).toBe(403);
  const inForce = { state: 'in-force', version: 2 };
  await eventually('both in force', async () => {
    const { agents } = await askServer(adminSocket, 'policy', 'status');
    expect(agents).toMatchObject([
      {
        takers: [
          { name: 'rbac', ...inForce },
          { name: expect.stringContaining('envoy'), ...inForce },
        ],
      },
    ]);
    return true;
  });
});

it('denies everything once its rules are too old, and has them again from the same agent', async () => {
  const { agent, ask, apply, until } = await launch({ ttl: `${TTL_SECONDS}s` });
  await apply('/a');
  const longer = performance.now() + 1.5 * TTL_SECONDS * 1_000;
  while (performance.now() < longer) expect(await ask('/a')).toBe(200);
  await agent.kill();
  expect(await ask('/a')).toBe(200);
  await until('/a', 403);
  await agent.start();
  await until('/a', 200);
  expect(await ask('/b')).toBe(403);
});
