import assert from 'node:assert/strict';
import { eventually } from '../../test/programs/eventually.ts';
import { rotateJwtAuthority, rotateX509Authority } from './forced-rotation.ts';
import {
  CLIENT,
  createEntry,
  type InteropMesh,
  openMesh,
  SERVER,
  serialOfAgent,
  servesNobody,
  slow,
} from './interop-mesh.ts';
import type { Drill } from './run-drill.ts';

/** An agent that joined with a token: from the join to the ban, under traffic between two Envoys. */
export const joinDrill: Drill<InteropMesh> = {
  name: 'join token',
  lives: { caSeconds: 3_600, x509SvidSeconds: 30, agentSeconds: 30 },
  async open(place, stack) {
    const token = await place.admin.createToken('-spiffeID', 'spiffe://example.org/node');
    return await openMesh(place, stack, await place.createAgent('node', { token }));
  },
  check: ({ traffic }) => assert.deepEqual(traffic.counts().failures, []),
  summary: ({ traffic }) => `${traffic.counts().ok} requests, ${traffic.counts().failed} failed`,
  steps: {
    'the server lists the agent': listAgent,
    'a workload fetches X509-SVIDs': async ({ workload }) => {
      const ids = (await workload.fetchX509()).map(({ spiffeId }) => spiffeId);
      assert.deepEqual(ids.toSorted(), [CLIENT, SERVER]);
    },
    'a workload fetches a JWT-SVID and has it validated': async ({ workload }) => {
      const token = await workload.fetchJwt('audience');
      assert.ok([CLIENT, SERVER].includes(await workload.validateJwt('audience', token)));
      await assert.rejects(workload.validateJwt('another', token));
    },
    'SVIDs and the agent are renewed': renew,
    'forced rotation: prepare, activate, taint, revoke': rotateX509Authority,
    'forced rotation of the JWT authority': rotateJwtAuthority,
    'the server is killed and started again': restartServer,
    'the agent is killed and started again': restartAgent,
    'an entry appears and disappears on an open stream': appearAndDisappear,
    'the agent is banned': ban,
  },
};

async function listAgent({ place }: InteropMesh): Promise<void> {
  const [agent, ...others] = await place.admin.agents();
  assert.deepEqual(others, []);
  assert.match(agent?.spiffeId ?? '', /^spiffe:\/\/example\.org\/spire\/agent\/join_token\//u);
  assert.equal(agent?.banned, false);
}

async function renew({ place, workload }: InteropMesh): Promise<void> {
  const before = await workload.serialOf(CLIENT);
  const agent = await serialOfAgent(place);
  const isNewSvid = async () => (await workload.serialOf(CLIENT)) !== before;
  await eventually('a renewed X509-SVID', isNewSvid, slow);
  const isNewAgent = async () => (await serialOfAgent(place)) !== agent;
  await eventually('a renewed agent', isNewAgent, slow);
}

async function restartServer({ place, workload }: InteropMesh): Promise<void> {
  const before = await workload.serialOf(CLIENT);
  await place.server.kill();
  await place.server.start();
  const isNewSvid = async () => (await workload.serialOf(CLIENT)) !== before;
  await eventually('SVIDs are renewed after the restart', isNewSvid, slow);
}

async function restartAgent({ place, agent, workload }: InteropMesh): Promise<void> {
  await agent.kill();
  await agent.start();
  const hasBoth = async () => (await workload.fetchX509()).length === 2;
  await eventually('the workload is served again', hasBoth, slow);
  assert.equal((await place.admin.agents()).length, 1, 'it came back as the same agent');
}

async function appearAndDisappear({ place, workload }: InteropMesh): Promise<void> {
  const extra = 'spiffe://example.org/extra';
  const watch = workload.watch();
  try {
    const seen = (id: string) => () => watch.lines.some((line) => line.includes(id));
    await eventually('the stream begins', seen(CLIENT), slow);
    const entryId = await createEntry(place, extra);
    await eventually('the new identity', seen(extra), slow);
    await place.admin.run('entry', 'delete', '-entryID', entryId);
    const isGone = async () => (await workload.serialOf(extra)) === undefined;
    await eventually('the identity is gone', isGone, slow);
  } finally {
    await watch.stop();
  }
}

/** What becomes of the Envoys' secrets then is a matter of taste, so no more requests are sent. */
async function ban({ place, agent, workload, traffic }: InteropMesh): Promise<void> {
  await traffic.stop();
  const [{ spiffeId } = { spiffeId: '' }] = await place.admin.agents();
  await place.admin.run('agent', 'ban', '-spiffeID', spiffeId);
  await servesNobody(agent, workload);
  const [after] = await place.admin.agents();
  assert.equal(after?.banned, true);
}
