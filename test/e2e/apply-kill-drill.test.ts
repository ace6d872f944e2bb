import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { parseDocuments } from '../../src/apply/index.ts';
import { toApply } from '../../src/cli/load-documents.ts';
import { createApplyClient, createRevocationClient } from '../../src/client/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

/** `KILLS=20 SEED=7` for a longer drill, or the same one again. */
const KILLS = Number(process.env['KILLS'] ?? 3);
const SEED = Number(process.env['SEED']);
const ENTRIES = 1_000;
const MOMENT_MS = 600;

const idOf = (set: number, n: number): string => `spiffe://example.org/set-${set}/${n}`;

async function applyTo({ adminSocket }: LaunchedServer, set: number) {
  const text = Array.from(
    { length: ENTRIES },
    (_, n) => `apiVersion: trustplane/v1
kind: RegistrationEntry
spiffeId: ${idOf(set, n)}
parentId: spiffe://example.org/node
selectors: [unix:uid:${n}]
`,
  ).join('---\n');
  const rules = { trustDomain: TrustDomain.parse('example.org'), now: Date.now() };
  const documents = toApply(parseDocuments([{ name: 'set', text }], rules));
  const client = createApplyClient(adminSocket);
  try {
    return await client.apply({ set: `set-${set}`, ...documents });
  } finally {
    client.close();
  }
}

/** Neither, the suspension alone, or both: what is revoked is suspended first. */
async function revokeAt({ adminSocket }: LaunchedServer, spiffeId: string): Promise<void> {
  const client = createRevocationClient(adminSocket);
  const how = { reason: 'a drill', isReissued: false, isDryRun: false, isForced: false };
  try {
    await client.revoke({ subject: { spiffeId }, ...how });
  } finally {
    client.close();
  }
}

async function factsAt({ adminSocket }: LaunchedServer, spiffeId: string) {
  const client = createRevocationClient(adminSocket);
  try {
    const { suspensions, revocations } = await client.list(true);
    const isOf = ({ value }: { readonly value: string }): boolean => value === spiffeId;
    return { isSuspended: suspensions.some(isOf), isRevoked: revocations.some(isOf) };
  } finally {
    client.close();
  }
}

it(
  'what an apply or a revocation left half done when the server was killed is completed by the same again',
  async () => {
    const random = createSeededRandom(SEED);
    const folder = createRunFolder();
    let server = await launchServer(folder.path);
    const killed = async (work: Promise<unknown>, momentMs: number): Promise<void> => {
      const over = Promise.allSettled([work]);
      await delay(momentMs);
      server.kill('SIGKILL');
      await Promise.all([over, server.ended]);
      server = await launchServer(folder.path);
    };
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        await killed(applyTo(server, kill), random(MOMENT_MS));
        const { plan, outcome } = await applyTo(server, kill);
        console.log(`apply drill: ${plan.unchanged} were there, ${plan.added} were missing`);
        expect(plan).toMatchObject({ complaints: [], changed: 0, removed: 0 });
        expect(plan.unchanged + plan.added).toBe(ENTRIES);
        expect(outcome).toMatchObject({ left: [], failure: undefined });
        expect((await applyTo(server, kill)).plan).toMatchObject({ unchanged: ENTRIES, added: 0 });

        const id = idOf(kill, 0);
        await killed(revokeAt(server, id), random(60));
        const { isSuspended, isRevoked } = await factsAt(server, id);
        console.log(`revoke drill: suspended ${isSuspended}, revoked ${isRevoked}`);
        expect(isSuspended || !isRevoked).toBe(true);
        await revokeAt(server, id);
        expect(await factsAt(server, id)).toEqual({ isSuspended: true, isRevoked: true });
      }
      expect(await server.ask('audit', 'verify')).toMatchObject({ findings: [] });
    } finally {
      await server.stop();
      await folder.remove();
    }
  },
  60_000 + KILLS * 30_000,
);
