import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createThrowawayCa } from '../src/ca/index.ts';
import { createAdminClient, createBundleClient } from '../src/client/index.ts';
import {
  type Bundle,
  emptyBundle,
  encodePem,
  serializeBundleDocument,
  TrustDomain,
} from '../src/spiffe/index.ts';
import {
  launchServerAndAgent,
  type ServerAndAgent,
} from '../test/programs/launch-server-and-agent.ts';
import { residentMib } from '../test/programs/memory.ts';
import { openByteStream } from './byte-stream.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { cpuSecondsOf } from './process-cpu.ts';
import { openSecretStream } from './secret-stream.ts';
import { workloadEntry } from './workload-entry.ts';

const DOMAINS = 1_000;
const SAMPLES = 100;
const LIMIT_MS = 100;
const AT_ONCE = 25;
/** So a bundle document has 4 KB. One X.509 authority: Envoy's context ALL holds about 940 in all. */
const JWT_AUTHORITIES = 16;
const IDLE_MS = 5_000;
const domainName = (index: number): string => `domain-${index}.example`;
const SDS = 'envoy.service.secret.v3.SecretDiscoveryService';
const SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

/** From a change of one of 1,000 federated trust domains at the server to the streams of an agent in another process. */
export const domains1000Update: Benchmark = p99OfRuns({
  name: 'domains_1000_update_p99_ms',
  about: `one of ${DOMAINS.toLocaleString('en')} federated bundles of 4 KB is set at the server → an agent that is joined over TLS has sent all of them on an open SDS stream (ALL) and two Workload API streams; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure: async (folder, report) => {
    await using fleet = await launchServerAndAgent(folder);
    return await measure(fleet, report);
  },
});

async function measure(
  fleet: ServerAndAgent,
  report: (progress: string) => void,
): Promise<number[]> {
  const bundles = createBundleClient(fleet.adminSocket);
  const names = Array.from({ length: DOMAINS }, (_, index) => domainName(index));
  await createEntry(fleet, names);
  const streams = openStreams(fleet.socket);
  try {
    await Promise.all(streams.map((stream) => stream.next(() => true)));
    const before = memoryOf(fleet);
    const documentBytes = await fill(bundles, names);
    await timeUpdate(bundles, makeBundle(domainName(0), 2n), streams);
    const idle = await idlePercent(fleet);
    const cost = memoryOf(fleet).map((mib, at) => ((mib - (before[at] ?? 0)) * 1024) / DOMAINS);
    report(
      `${documentBytes} bytes a bundle; a domain costs ${cost[0]?.toFixed(0)} KiB at the server, ${cost[1]?.toFixed(0)} KiB at the agent; idle CPU ${idle.map((percent) => percent.toFixed(1)).join(' and ')} %`,
    );
    const used = cpuOf(fleet);
    const times = await timeUpdates(bundles, names, streams);
    const perUpdate = cpuOf(fleet).map((seconds, at) => (seconds - (used[at] ?? 0)) * 10);
    report(`CPU of an update: ${perUpdate.map((ms) => ms.toFixed(0)).join(' and ')} ms`);
    return times;
  } finally {
    for (const stream of streams) stream.close();
    bundles.close();
  }
}

/** Resolves when the agent serves it. */
async function createEntry(
  { adminSocket, socket, agentPath }: ServerAndAgent,
  federates_with: readonly string[],
): Promise<void> {
  const client = createAdminClient(adminSocket);
  const id = 'spiffe://example.org/web';
  const stream = openSecretStream(socket, [id]);
  try {
    await client.createEntry({ ...workloadEntry('/web', agentPath), federates_with });
    await stream.arrival(id);
  } finally {
    stream.close();
    client.close();
  }
}

type Streams = readonly ReturnType<typeof openByteStream>[];

function openStreams(socket: string): Streams {
  const metadata = { 'workload.spiffe.io': 'true' };
  return [
    openByteStream(socket, {
      file: 'envoy/service/secret/v3/sds.proto',
      service: SDS,
      method: 'StreamSecrets',
      request: { type_url: SECRET, resource_names: ['ALL'], node: { id: 'bench' } },
    }),
    ...['FetchX509Bundles', 'FetchJWTBundles'].map((method) =>
      openByteStream(socket, {
        file: 'workload.proto',
        service: 'SpiffeWorkloadAPI',
        method,
        request: {},
        metadata,
      }),
    ),
  ];
}

function makeBundle(name: string, sequence: bigint): Bundle {
  const jwt = Array.from({ length: JWT_AUTHORITIES }, (_, index) => ({
    keyId: `${name}-${index}-${sequence}`,
    publicKey: new Uint8Array(
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
        format: 'der',
        type: 'spki',
      }),
    ),
    expiresAt: undefined,
    tainted: false,
  }));
  const certificate = createThrowawayCa(Date.now(), randomBytes);
  return {
    ...emptyBundle(TrustDomain.parse(name)),
    x509Authorities: [{ certificate, tainted: false }],
    jwtAuthorities: jwt,
    sequenceNumber: sequence,
  };
}

type BundleClient = ReturnType<typeof createBundleClient>;

/** Returns the size of one bundle as a document. */
async function fill(client: BundleClient, names: readonly string[]): Promise<number> {
  const bundles = names.map((name) => makeBundle(name, 1n));
  for (let first = 0; first < bundles.length; first += AT_ONCE) {
    const some = bundles.slice(first, first + AT_ONCE);
    await Promise.all(some.map((bundle) => client.set(bundle, false)));
  }
  return serializeBundleDocument(makeBundle(domainName(0), 1n)).length;
}

/** When all streams have a message with the bundle's last authority in it. */
async function arrivals(streams: Streams, bundle: Bundle): Promise<number> {
  const certificate = bundle.x509Authorities.at(-1)?.certificate ?? new Uint8Array();
  const lines = encodePem('CERTIFICATE', certificate).split('\n');
  const keyId = bundle.jwtAuthorities.at(-1)?.keyId ?? '';
  const needles = [lines.at(-3) ?? '', Buffer.from(certificate), `"${keyId}"`];
  const times = await Promise.all(
    streams.map((stream, at) => stream.next((bytes) => bytes.includes(needles[at] ?? ''))),
  );
  return Math.max(...times);
}

async function timeUpdates(
  client: BundleClient,
  names: readonly string[],
  streams: Streams,
): Promise<number[]> {
  // The first by name, which ALL has room for.
  const changes = names
    .toSorted()
    .slice(0, SAMPLES)
    .map((name) => makeBundle(name, 3n));
  const times: number[] = [];
  for (const next of changes) times.push(await timeUpdate(client, next, streams));
  return times;
}

async function timeUpdate(client: BundleClient, next: Bundle, streams: Streams): Promise<number> {
  const arrived = arrivals(streams, next);
  const began = performance.now();
  await client.set(next, false);
  return (await arrived) - began;
}

function memoryOf({ server, agent }: ServerAndAgent): readonly number[] {
  return [server, agent].map(({ pid }) => residentMib(pid));
}

/** Seconds, of server and agent. */
function cpuOf({ server, agent }: ServerAndAgent): readonly number[] {
  return [server, agent].map(({ pid }) => cpuSecondsOf(pid));
}

/** Of one core, of server and agent. */
async function idlePercent(fleet: ServerAndAgent): Promise<readonly number[]> {
  const before = cpuOf(fleet);
  await delay(IDLE_MS);
  return cpuOf(fleet).map((seconds, at) => ((seconds - (before[at] ?? 0)) / IDLE_MS) * 100_000);
}
