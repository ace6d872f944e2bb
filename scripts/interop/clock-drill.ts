import assert from 'node:assert/strict';
import { eventually } from '../../test/programs/eventually.ts';
import { type InteropMesh, openMesh, presentedSigners } from './interop-mesh.ts';
import type { Drill } from './run-drill.ts';

const ROTATIONS = 2;

/** Authorities of two minutes that replace each other by the clock, under traffic. */
export const clockDrill: Drill<InteropMesh> = {
  name: 'rotation by the clock',
  lives: { caSeconds: 120, x509SvidSeconds: 20, agentSeconds: 20 },
  async open(place, stack) {
    const token = await place.admin.createToken('-spiffeID', 'spiffe://example.org/node');
    return await openMesh(place, stack, await place.createAgent('node', { token }));
  },
  check: ({ traffic }) => assert.deepEqual(traffic.counts().failures, []),
  summary: ({ traffic }) => `${traffic.counts().ok} requests, ${traffic.counts().failed} failed`,
  steps: {
    'both Envoys follow two rotations': async (mesh) => {
      for (let rotation = 0; rotation < ROTATIONS; rotation++) {
        const before = new Set(await presentedSigners(mesh));
        await eventually(
          'certificates of the next authority',
          async () =>
            (await presentedSigners(mesh)).every(
              (signer) => signer !== undefined && !before.has(signer),
            ),
          { timeoutMs: 240_000, everyMs: 500 },
        );
      }
    },
  },
};
