import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { createLastKeyAttestation } from '../../src/attest/index.ts';
import { type NodeOptions, openNode } from '../../src/node/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { type Bundle, encodePem, type RegistrationEntry } from '../../src/spiffe/index.ts';
import type { openFleet } from './open-fleet.ts';

type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** Writes the bundle where an agent may be bootstrapped from; removed when the test ends. */
export async function bundleFileOf(bundle: Bundle): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'node-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'bundle.pem');
  const authorities = bundle.x509Authorities.map(({ certificate }) => certificate);
  writeFileSync(file, authorities.map((der) => encodePem('CERTIFICATE', der)).join(''));
  return file;
}

/** A node of the fleet on the fleet's clock, started; closed when the test ends. */
export async function openTestNode(fleet: Fleet, options: Partial<NodeOptions> = {}) {
  const node = openNode({
    trustDomain: fleet.trustDomain,
    servers: [{ host: '127.0.0.1', port: fleet.port }],
    bootstrap: { kind: 'file', path: await bundleFileOf(fleet.trustMap.current().own) },
    attestation: undefined,
    lastKey: (svid) => createLastKeyAttestation(svid, randomBytes),
    agentVersion: '0.0.0-test',
    clock: fleet.clock,
    random: () => 0.5,
    log: silentLog,
    metrics: createMetrics(),
    ...options,
  });
  // Awaited by the tests it matters to.
  node.ready.catch(() => {});
  node.start();
  onTestFinished(() => node.close());
  return node;
}

/** The paths of the SPIFFE IDs that the node may serve. */
export function pathsOf({
  facts,
}: {
  readonly facts: { readonly facts: { readonly entries: ReadonlyMap<string, RegistrationEntry> } };
}): string[] {
  return [...facts.facts.entries.values()].map(({ spiffeId }) => spiffeId.path).sort();
}
