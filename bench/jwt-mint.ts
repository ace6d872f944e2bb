import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createJoinTokenAttestation } from '../src/attest/index.ts';
import { createAdminClient } from '../src/client/index.ts';
import { type Node, openNode } from '../src/node/index.ts';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { SpiffeId, TrustDomain } from '../src/spiffe/index.ts';
import { askServer, createFleetProcess, runAdmin } from '../test/programs/fleet-process.ts';
import { asRatio, type Benchmark, median } from './measurement.ts';
import { cpuSecondsOf, perCpuSecond } from './process-cpu.ts';
import { withTemporaryFolder } from './temporary-folder.ts';
import { workloadEntry } from './workload-entry.ts';

const BAR = 0.25;
const ROUNDS = 7;
/** Of each round; the first round warms up. */
const TOKENS = 20_000;
const IN_FLIGHT = 100;
/** What a JWT-SVID signs, about. */
const SIGNED_BYTES = 220;

/** JWT-SVIDs that an agent has minted over gRPC and TLS, against one signature alone. */
export const jwtMint: Benchmark = {
  name: 'jwt_mint_ratio',
  about:
    'JWT-SVIDs minted for an agent over gRPC and TLS per second of CPU of the server, against crypto.sign() per second of CPU',
  run: async (report) => await withTemporaryFolder((folder) => measure(folder, report)),
};

interface MintingServer {
  readonly pid: number;
  readonly node: Node;
  readonly entryId: string;
}

async function measure(folder: string, report: (progress: string) => void) {
  await using stack = new AsyncDisposableStack();
  const server = await launch(folder, stack);
  const minted: number[] = [];
  const signed: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    signed.push(perCpuSecond(signature(), TOKENS));
    const perSecond = await mintedPerCpuSecond(server);
    if (round > 0) minted.push(perSecond);
  }
  const [value, baseline] = [median(minted), median(signed)];
  report(`${value.toFixed(0)} tokens, ${baseline.toFixed(0)} signatures per second of CPU`);
  return asRatio(jwtMint.name, value / baseline, { kind: 'at-least', ratio: BAR });
}

async function mintedPerCpuSecond({ pid, node, entryId }: MintingServer): Promise<number> {
  const request = { entryId, spiffeId: SpiffeId.parse('spiffe://example.org/web') };
  const before = cpuSecondsOf(pid);
  let left = TOKENS;
  const work = async (): Promise<void> => {
    while (left-- > 0)
      await node.jwtIssuer.issue({ ...request, audience: ['spiffe://example.org/db'] });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  return TOKENS / (cpuSecondsOf(pid) - before);
}

function signature(): () => unknown {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const data = randomBytes(SIGNED_BYTES);
  return () => sign('sha256', data, privateKey);
}

/** A server without a limit on minting, and an agent in this process, joined to it. */
async function launch(folder: string, stack: AsyncDisposableStack): Promise<MintingServer> {
  const [config, bundle] = [path.join(folder, 'config.yaml'), path.join(folder, 'bundle.pem')];
  await writeFile(config, 'server: { rateLimits: { jwtSigning: 0 } }\n');
  const adminSocket = path.join(folder, 'admin.sock');
  const server = createFleetProcess(
    [
      'server run --bind-address 127.0.0.1:0 --log-level warn'.split(' '),
      ['--config', config, '--data-dir', path.join(folder, 'data')],
      ['--admin-socket', adminSocket],
    ].flat(),
  );
  stack.defer(async () => await server.stop());
  const { address, pid } = await server.start();
  await writeFile(bundle, await runAdmin(adminSocket, 'bundle', 'show'));
  const { token } = await askServer(adminSocket, 'token', 'generate');
  const port = Number(String(address).split(':').at(-1));
  const node = openNode({
    trustDomain: TrustDomain.parse('example.org'),
    servers: [{ host: '127.0.0.1', port }],
    bootstrap: { kind: 'file', path: bundle },
    attestation: createJoinTokenAttestation(String(token)),
    agentVersion: 'bench',
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    metrics: createMetrics(),
  });
  stack.defer(async () => await node.close());
  node.start();
  await node.ready;
  const admin = createAdminClient(adminSocket);
  stack.defer(() => admin.close());
  const entry = await admin.createEntry(
    workloadEntry('/web', `/spire/agent/join_token/${String(token)}`),
  );
  return { pid: Number(pid), node, entryId: entry.id };
}
