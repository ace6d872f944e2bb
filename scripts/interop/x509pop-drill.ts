import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../test/programs/eventually.ts';
import type { InteropAgent, InteropPlace } from '../../test/programs/spire/interop-place.ts';
import { createSpireWorkload } from '../../test/programs/spire/spire-workload.ts';
import { serialOfAgent, servesNobody, slow } from './interop-mesh.ts';
import type { Drill } from './run-drill.ts';

interface World {
  readonly place: InteropPlace;
  readonly agent: InteropAgent;
}

/** An agent that joined with a certificate: it attests again whenever it must. */
export const x509popDrill: Drill<World> = {
  name: 'x509pop',
  lives: { caSeconds: 3_600, x509SvidSeconds: 30, agentSeconds: 30 },
  async open(place) {
    const agent = await place.createAgent('node', await place.createNodeCertificate('node-1'));
    await agent.start();
    return { place, agent };
  },
  check: () => {},
  steps: {
    'the server lists the agent': async ({ place }) => {
      const [agent, ...others] = await place.admin.agents();
      assert.deepEqual(others, []);
      assert.match(agent?.spiffeId ?? '', /\/spire\/agent\/x509pop\/[0-9a-f]{40}$/u);
    },
    'a node alias by its selectors reaches the workload': async ({ place, agent }) => {
      const alias = 'spiffe://example.org/node';
      const byName = ['-selector', 'x509pop:subject:cn:node-1'];
      await place.admin.run('entry', 'create', '-node', '-spiffeID', alias, ...byName);
      const uid = ['-selector', `unix:uid:${process.getuid?.() ?? 0}`];
      await place.admin.createEntry('spiffe://example.org/web', alias, ...uid);
      const workload = createSpireWorkload(place.spire.agent, agent.socket);
      const isServed = async () =>
        (await workload.serialOf('spiffe://example.org/web')) !== undefined;
      await eventually('the workload is served', isServed, slow);
    },
    'the agent renews itself': async ({ place }) => {
      const before = await serialOfAgent(place);
      const isRenewed = async () => (await serialOfAgent(place)) !== before;
      await eventually('another serial number', isRenewed, slow);
    },
    'an agent that was away until its SVID expired attests again': async ({ place, agent }) => {
      const before = await serialOfAgent(place);
      await agent.stop();
      await delay(x509popDrill.lives.agentSeconds * 1_000 + 1_000);
      await agent.start();
      const isBack = async () => (await serialOfAgent(place)) !== before;
      await eventually('it has another SVID', isBack, slow);
    },
    'an evicted agent attests again': async ({ place }) => {
      const [agent] = await place.admin.agents();
      await place.admin.run('agent', 'evict', '-spiffeID', agent?.spiffeId ?? '');
      const isBack = async () => (await place.admin.agents()).length === 1;
      await eventually('it is listed again', isBack, slow);
    },
    'a banned agent does not come back': async ({ place, agent }) => {
      const [listed] = await place.admin.agents();
      await place.admin.run('agent', 'ban', '-spiffeID', listed?.spiffeId ?? '');
      await servesNobody(agent, createSpireWorkload(place.spire.agent, agent.socket));
      assert.equal((await place.admin.agents())[0]?.banned, true);
    },
  },
};
