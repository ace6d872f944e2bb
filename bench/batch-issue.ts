import { createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { createAdminClient } from '../src/client/index.ts';
import { buildCsr, generateP256KeyPair, SpiffeId } from '../src/spiffe/index.ts';
import type { FleetClient } from '../test/fakes/open-fleet.ts';
import { joinServer, type LaunchedServer, launchServer } from '../test/programs/launch-server.ts';
import { asRatio, type Benchmark, median } from './measurement.ts';
import { cpuSecondsOf, perCpuSecond } from './process-cpu.ts';
import { withTemporaryFolder } from './temporary-folder.ts';
import { workloadEntry } from './workload-entry.ts';

const BAR = 0.45;
/** The first one warms up. */
const ROUNDS = 8;
const BATCH = 50;
const CALLS = 200;
const IN_FLIGHT = 8;
/** What an X509-SVID signs, about. */
const SIGNED_BYTES = 500;
const ID = 'spiffe://example.org/web';

/** X509-SVIDs of an agent in batches, against what each cannot do without. */
export const batchIssue: Benchmark = {
  name: 'batch_issue_ratio',
  about: `X509-SVIDs issued over gRPC and TLS, ${BATCH} requests a call, per second of CPU of the server, against createPublicKey() + verify() + sign() per second of CPU`,
  run: async (report) =>
    await withTemporaryFolder(async (folder) => {
      const server = await launchServer(folder, {
        config: '{ server: { rateLimits: { signing: 0 } }, log: { level: warn } }',
      });
      try {
        return await measure(server, report);
      } finally {
        await server.stop();
      }
    }),
};

async function measure(server: LaunchedServer, report: (progress: string) => void) {
  const identity = await joinServer(server);
  const params = Array.from({ length: BATCH }, () => ({
    csr: buildCsr({ ...generateP256KeyPair(), spiffeId: SpiffeId.parse(ID) }),
  }));
  const admin = createAdminClient(server.adminSocket);
  const { id } = await admin.createEntry(workloadEntry('/web', identity.id.path));
  admin.close();
  const client = server.dial(identity);
  const request = { params: params.map((one) => ({ ...one, entry_id: id })) };
  const issued: number[] = [];
  const limits: number[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      limits.push(perCpuSecond(verifyAndSign(), BATCH * CALLS));
      const perSecond = await issuedPerCpuSecond(server.pid, client, request);
      if (round > 0) issued.push(perSecond);
    }
  } finally {
    client.close();
  }
  const [value, limit] = [median(issued), median(limits)];
  report(`${value.toFixed(0)} SVIDs, ${limit.toFixed(0)} of the limit per second of CPU`);
  return asRatio(batchIssue.name, value / limit, { kind: 'at-least', ratio: BAR });
}

async function issuedPerCpuSecond(pid: number, client: FleetClient, request: object) {
  const before = cpuSecondsOf(pid);
  let left = CALLS;
  const work = async (): Promise<void> => {
    while (left-- > 0) checkAll(await client.call('SVID.BatchNewX509SVID', request));
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  return (CALLS * BATCH) / (cpuSecondsOf(pid) - before);
}

function checkAll(answer: unknown): void {
  const { results = [] }: { results?: readonly { svid?: unknown }[] } = Object(answer);
  if (results.length === BATCH && results.every(({ svid }) => svid)) return;
  throw new Error(`not all were issued: ${JSON.stringify(results[0])}`);
}

/** A request's key is taken in, its signature verified, and a certificate signed. */
function verifyAndSign(): () => unknown {
  const requested = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = requested.publicKey.export({ format: 'der', type: 'spki' });
  const data = randomBytes(SIGNED_BYTES);
  const signature = sign('sha256', data, requested.privateKey);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return () => {
    const publicKey = createPublicKey({ key, format: 'der', type: 'spki' });
    return verify('sha256', data, publicKey, signature) && sign('sha256', data, privateKey);
  };
}
