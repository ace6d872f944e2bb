import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type AdminClient, createAdminClient, type EntryMessage } from '../src/client/index.ts';
import { launchEnvoy, type RunningEnvoy } from '../test/programs/launch-envoy.ts';
import { launchTrustplane } from '../test/programs/launch-trustplane.ts';
import { renderBootstrap } from '../test/programs/render-bootstrap.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';

const SAMPLES = 100;
const WARM_UP = 20;
const LIMIT_MS = 20;
const SERIAL_TIME_DIGITS = 12;
const POLL_MS = 1;

/**
 * From the issue of a new SVID to its serial in Envoy's /certs. The first 48 bits of a serial number
 * are the millisecond of issue, so the clock starts before the agent even has the SVID.
 */
export const rotationToEnvoy: Benchmark = p99OfRuns({
  name: 'rotation_to_envoy_p99_ms',
  about: `new SVID signed → its serial in /certs of a real Envoy; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure,
});

async function measure(folder: string): Promise<number[]> {
  const up = await launchTrustplane(folder, '--log-level', 'warn');
  const id = await up.createEntry('spiffe://example.org/client');
  const bootstrap = await renderBootstrap('client-sidecar', {
    '127.0.0.1:9902': path.join(folder, 'envoy.admin'),
    '127.0.0.1:8081': path.join(folder, 'outbound.sock'),
    '127.0.0.1:8443': path.join(folder, 'server.sock'),
    '/run/trustplane/agent.sock': up.socket,
  });
  const envoy = await launchEnvoy({ bootstrap, folder, name: 'envoy' });
  const client = createAdminClient(up.adminSocket);
  try {
    await envoy.waitReady();
    return await rotate(envoy, client, id);
  } finally {
    client.close();
    await envoy.stop();
    await up.stop();
  }
}

/** A changed entry gets a new SVID at once, by the same way as a renewal. */
async function rotate(envoy: RunningEnvoy, client: AdminClient, id: string): Promise<number[]> {
  const times: number[] = [];
  for (let rotation = 0; rotation < WARM_UP + SAMPLES; rotation++) {
    const took = await rotateOnce(envoy, client, { id, dns_names: [`n${rotation}.example.org`] });
    if (rotation >= WARM_UP) times.push(took);
  }
  return times;
}

async function rotateOnce(
  envoy: RunningEnvoy,
  client: AdminClient,
  change: EntryMessage,
): Promise<number> {
  const before = await serialOf(envoy);
  await client.updateEntry(change);
  for (;;) {
    const serial = await serialOf(envoy);
    const seenAt = Date.now();
    if (serial !== before) return seenAt - issuedAt(serial);
    // Leaves the processors to those who are measured.
    await setTimeout(POLL_MS);
  }
}

function issuedAt(serial: string): number {
  return Number.parseInt(serial.padStart(32, '0').slice(0, SERIAL_TIME_DIGITS), 16);
}

async function serialOf(envoy: RunningEnvoy): Promise<string> {
  const certificates = await envoy.certificates();
  return (
    certificates.find(({ spiffeId }) => spiffeId === 'spiffe://example.org/client')?.serialNumber ??
    ''
  );
}
