import { createHash } from 'node:crypto';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { readStoredAudit, verifyStoredAudit } from '../../src/app/stored-audit.ts';
import { createAdminClient } from '../../src/client/index.ts';
import {
  buildCsr,
  generateP256KeyPair,
  parseCertificate,
  SpiffeId,
} from '../../src/spiffe/index.ts';
import type { FleetClient } from '../fakes/open-fleet.ts';
import {
  type JoinedAgent,
  joinServer,
  type LaunchedServer,
  launchServer,
} from '../programs/launch-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

/** `KILLS=50 SEED=7` for a longer drill, or the same one again. */
const KILLS = Number(process.env['KILLS'] ?? 6);
const SEED = Number(process.env['SEED']);

const ISSUANCES = 1_000;
const BATCH = 20;
const IN_FLIGHT = 4;
/** Within which about a thousand are issued. */
const MOMENT_MS = 2_500;
const ID = SpiffeId.parse('spiffe://example.org/web');
/** Files of 2 MiB: the ledger goes on in another one within the drill. */
const CONFIG = `{
  server: {
    rateLimits: { attestation: 0, signing: 0, jwtSigning: 0 },
    audit: { maxBytes: 16777216 },
  },
  log: { level: warn },
}`;

/** What was handed out: serial numbers, and digests of tokens. */
type Received = Set<string>;

interface Answer {
  readonly results?: readonly { readonly svid?: { readonly cert_chain?: readonly Uint8Array[] } }[];
  readonly svid?: { readonly token?: string };
}

async function createEntry({ adminSocket }: LaunchedServer, agent: JoinedAgent): Promise<string> {
  const admin = createAdminClient(adminSocket);
  try {
    const entry = await admin.createEntry({
      spiffe_id: { trust_domain: 'example.org', path: ID.path },
      parent_id: { trust_domain: 'example.org', path: agent.id.path },
      selectors: [{ type: 'unix', value: 'uid:1000' }],
    });
    return entry.id;
  } finally {
    admin.close();
  }
}

/** Until a thousand are there, or the server is gone. */
async function receive(client: FleetClient, entryId: string, received: Received): Promise<void> {
  const csr = buildCsr({ ...generateP256KeyPair(), spiffeId: ID });
  const params = Array.from({ length: BATCH }, () => ({ entry_id: entryId, csr }));
  let left = ISSUANCES;
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= BATCH + 1;
      const batch: Answer = Object(await client.call('SVID.BatchNewX509SVID', { params }));
      for (const { svid } of batch.results ?? []) {
        const [leaf] = svid?.cert_chain ?? [];
        if (leaf !== undefined) received.add(parseCertificate(leaf).serialNumber.toLowerCase());
      }
      const request = { entry_id: entryId, audience: ['drill'] };
      const token: Answer = Object(await client.call('SVID.NewJWTSVID', request));
      received.add(digestOf(token.svid?.token ?? ''));
    }
  };
  await Promise.allSettled(Array.from({ length: IN_FLIGHT }, work));
}

function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

async function recorded(dataDir: string): Promise<Set<string>> {
  const found = new Set<string>();
  for await (const { event } of readStoredAudit({ dataDir }, {})) {
    if (event.kind === 'x509-svid') found.add(event.serialNumber);
    if (event.kind === 'jwt-svid') found.add(event.tokenDigest);
  }
  return found;
}

it(
  'every SVID that was handed out is in a ledger that verifies, whenever the server is killed',
  async () => {
    const random = createSeededRandom(SEED);
    const folder = createRunFolder();
    const dataDir = path.join(folder.path, 'data');
    const received: Received = new Set();
    let server = await launchServer(folder.path, { config: CONFIG });
    try {
      const agent = await joinServer(server);
      const entryId = await createEntry(server, agent);
      let interrupted = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const client = server.dial(agent);
        const before = received.size;
        const work = receive(client, entryId, received);
        await delay(random(MOMENT_MS));
        server.kill('SIGKILL');
        await Promise.all([work, server.ended]);
        client.close();
        if (received.size - before < ISSUANCES) interrupted += 1;
        expect((await verifyStoredAudit({ dataDir })).findings).toEqual([]);
        server = await launchServer(folder.path, { config: CONFIG });
        const { findings, records } = await server.ask('audit', 'verify');
        expect(findings).toEqual([]);
        console.log(`audit drill: ${received.size - before} received, ${records} recorded`);
      }
      expect(interrupted).toBeGreaterThan(0);
      expect(received.size).toBeGreaterThan(0);
      await server.stop();
      const inLedger = await recorded(dataDir);
      expect([...received].filter((one) => !inLedger.has(one))).toEqual([]);
    } finally {
      await server.stop();
      await folder.remove();
    }
  },
  (60 + KILLS * 15) * 1_000,
);
