import assert from 'node:assert/strict';
import { eventually } from '../../test/programs/eventually.ts';
import {
  type InteropAgent,
  type InteropPlace,
  openInteropPlace,
} from '../../test/programs/spire/interop-place.ts';
import {
  createSpireWorkload,
  type SpireWorkload,
} from '../../test/programs/spire/spire-workload.ts';
import { createEntry, slow } from './interop-mesh.ts';
import type { Drill } from './run-drill.ts';

const ABOVE = 'spiffe://example.org/above';
const BELOW = 'spiffe://example.org/below';

interface World {
  readonly above: InteropPlace;
  readonly below: InteropPlace;
  /** A workload of each server. */
  readonly workloads: { readonly above: SpireWorkload; readonly below: SpireWorkload };
}

/** A server of the other maker below the server, with the SVID of a workload whose entry is downstream. */
export const nestedDrill: Drill<World> = {
  name: 'servers below servers',
  lives: { caSeconds: 3_600, x509SvidSeconds: 60, agentSeconds: 60 },
  async open(above, stack) {
    const agent = await startAgent(above);
    await createEntry(above, ABOVE, '-downstream');
    const workload = createSpireWorkload(above.spire.agent, agent.socket);
    await served(workload, ABOVE);
    const { server, agent: other } = above.makers;
    const makers = { server: other, agent: server };
    const upstream = { port: above.port, workloadApiSocket: agent.socket };
    const below = await openInteropPlace(above.spire, makers, above.lives, upstream);
    stack.use(below);
    const agentBelow = await startAgent(below);
    await createEntry(below, BELOW);
    const workloadBelow = createSpireWorkload(above.spire.agent, agentBelow.socket);
    return { above, below, workloads: { above: workload, below: workloadBelow } };
  },
  check: () => {},
  steps: {
    'both have the same authority, one of them two steps below it': async ({ workloads }) => {
      const above = await served(workloads.above, ABOVE);
      const below = await served(workloads.below, BELOW);
      assert.equal(above.authority, below.authority);
      assert.deepEqual([above.chainLength, below.chainLength], [1, 2]);
    },
    'a token from below is valid above, and the other way round': async ({ workloads }) => {
      const { above, below } = workloads;
      for (const [issuer, judge] of [
        [below, above],
        [above, below],
      ] as const) {
        const token = await issuer.fetchJwt('audience');
        const isValid = async () => await judge.validateJwt('audience', token);
        await eventually('the token is valid', isValid, slow);
      }
    },
    'the server below follows when the authority above is replaced': async ({
      above,
      workloads,
    }) => {
      const before = await served(workloads.below, BELOW);
      const { x509 } = above.admin;
      const next = await x509.prepare();
      const activated = async () => await x509.activate(next);
      const old = await eventually('the authority is activated', activated, slow);
      await x509.taint(old);
      const isBelowNext = async () =>
        (await served(workloads.below, BELOW)).authority !== before.authority;
      await eventually('SVIDs below the new authority', isBelowNext, {
        ...slow,
        timeoutMs: 120_000,
      });
    },
  },
};

async function startAgent(place: InteropPlace): Promise<InteropAgent> {
  const token = await place.admin.createToken('-spiffeID', 'spiffe://example.org/node');
  const agent = await place.createAgent('node', { token });
  await agent.start();
  return agent;
}

async function served(workload: SpireWorkload, id: string) {
  const find = async () => (await workload.fetchX509()).find(({ spiffeId }) => spiffeId === id);
  return await eventually(`the SVID of ${id}`, find, slow);
}
