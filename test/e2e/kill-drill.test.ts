import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import {
  createAdminClient,
  createBundleClient,
  type ServerStatus,
} from '../../src/client/index.ts';
import { EntryLoad } from '../programs/entry-load.ts';
import { eventually } from '../programs/eventually.ts';
import { launchMesh, type Mesh } from '../programs/launch-mesh.ts';
import { launchTrustplane, spawnTrustplane } from '../programs/launch-trustplane.ts';
import { type RotationWatch, watchRotations } from '../programs/rotation-watch.ts';
import { createSeededRandom, type SeededRandom } from '../programs/seeded-random.ts';
import { startTraffic } from '../programs/traffic.ts';

/** `KILLS=100 SEED=7` for a longer drill, or the same one again. */
const KILLS = Number(process.env['KILLS'] ?? 5);
const SEED = Number(process.env['SEED']);

const CA_TTL_MS = 72_000;
const LIVES = ['--x509-svid-ttl', '12s', '--ca-ttl', `${CA_TTL_MS / 1000}s`];

/** When the process is killed: while entries change, when the authority is due to change, or before it is ready. */
type Moment = 'load' | 'rotation' | 'start';
const MOMENTS: readonly Moment[] = ['load', 'rotation', 'start', 'load', 'rotation'];

/** What must survive a kill. */
interface Facts {
  readonly authorities: ServerStatus['authorities'];
  readonly sequenceNumber: bigint;
}

async function factsOf(adminSocket: string): Promise<Facts> {
  const client = createAdminClient(adminSocket);
  const bundles = createBundleClient(adminSocket);
  try {
    const [{ authorities }, bundle] = [await client.status(), await bundles.own()];
    return { authorities, sequenceNumber: bundle.sequenceNumber ?? -1n };
  } finally {
    client.close();
    bundles.close();
  }
}

function idIn(slot: string, { authorities }: Facts): string | undefined {
  return authorities.find((authority) => authority.slot === slot)?.authorityId;
}

/** Why the facts after a restart cannot follow from those before it. */
function contradictions(before: Facts, after: Facts): string[] {
  const found: string[] = [];
  const active = idIn('active', after);
  if (active === undefined || ![idIn('active', before), idIn('prepared', before)].includes(active))
    found.push(`the active authority ${active} was neither active nor prepared`);
  const known = new Set(after.authorities.map(({ authorityId }) => authorityId));
  for (const { authorityId, expiresAt } of before.authorities)
    if (Date.parse(expiresAt) > Date.now() && !known.has(authorityId))
      found.push(`authority ${authorityId} is gone before it expired`);
  if (after.sequenceNumber < before.sequenceNumber)
    found.push(`bundle ${after.sequenceNumber} came after ${before.sequenceNumber}`);
  return found;
}

/** The instant of the next prepare (half of the active authority's life) or takeover (five sixths). */
function nextRotation({ authorities }: Facts): number {
  const active = authorities.find(({ slot }) => slot === 'active');
  const end = Date.parse(active?.expiresAt ?? '');
  const isPrepared = authorities.some(({ slot }) => slot === 'prepared');
  return end - CA_TTL_MS * (isPrepared ? 1 / 6 : 1 / 2);
}

/** Resolves at the moment to kill. */
async function momentToKill(
  moment: Moment,
  load: EntryLoad,
  facts: Facts,
  random: SeededRandom,
): Promise<void> {
  await load.acknowledgedMore(1 + random(200));
  if (moment === 'rotation')
    await delay(Math.max(0, nextRotation(facts) - Date.now()) + random(120) - 20);
}

/** Starts and kills within the time that a start takes. */
async function killWhileStarting(mesh: Mesh, random: SeededRandom): Promise<void> {
  const child = spawnTrustplane(mesh.folder, ...LIVES);
  await delay(random(1000));
  child.kill('SIGKILL');
  await child.ended;
}

it(
  'survives kills under load: entries and authorities are there, Envoys go on',
  async () => {
    console.log(`kill drill: KILLS=${KILLS} SEED=${SEED}`);
    const random = createSeededRandom(SEED);
    await using mesh = await launchMesh('sotw', ...LIVES);
    await mesh.register();
    const { adminSocket } = mesh.trustplane;
    const load = new EntryLoad(adminSocket, random);
    await using stack = new AsyncDisposableStack();
    const traffic = startTraffic(mesh.pair);
    stack.defer(async () => await traffic.stop());
    const envoys = [mesh.pair.client, mesh.pair.server];
    const watches = envoys.map((envoy) => watchRotations(envoy, () => {}));
    stack.defer(() => watches.forEach((watch) => watch.stop()));
    const story: string[] = [];
    const tell = (what: string): void =>
      void story.push(`${new Date().toISOString()} ${what}, ${traffic.counts().failed} failed`);

    let running = mesh.trustplane;
    let facts = await factsOf(adminSocket);
    const expiries = new Map<string, number>();
    for (let kill = 0; kill < KILLS; kill++) {
      const moment = MOMENTS[kill % MOMENTS.length] ?? 'load';
      const killed = new AbortController();
      const work = load.run(killed.signal);
      await Promise.race([momentToKill(moment, load, facts, random), work]);
      killed.abort();
      const serials = watches.map((watch) => watch.seen()?.serialNumber);
      tell(`kill ${kill} (${moment})`);
      running.kill('SIGKILL');
      await Promise.all([running.ended, work]);
      if (moment === 'start') await killWhileStarting(mesh, random);

      const again = await launchTrustplane(mesh.folder, ...LIVES);
      stack.defer(async () => void (await again.stop()));
      running = again;
      tell('restarted');
      const after = await factsOf(adminSocket);
      const client = createAdminClient(adminSocket);
      const differences = load.compare(await client.listEntries({}));
      client.close();
      const found = [...contradictions(facts, after), ...differences];
      expect(found, `kill ${kill} (${moment}) of SEED=${SEED}`).toEqual([]);
      facts = after;
      for (const { authorityId, expiresAt } of after.authorities)
        expiries.set(authorityId, Date.parse(expiresAt));

      // An SVID lives on in Envoy for as long as one outage may last, not for several.
      const back = async (watch: RotationWatch, index: number): Promise<true> =>
        await eventually('Envoy presents a new certificate after the restart', () =>
          watch.seen()?.serialNumber === serials[index] ? undefined : true,
        );
      await Promise.all(watches.map(back));
      tell('both Envoys are back');
      expect(traffic.counts().failures, `SEED=${SEED}\n${story.join('\n')}`).toEqual([]);
    }

    await traffic.stop();
    expect(traffic.counts().failures).toEqual([]);
    expect(traffic.counts().ok).toBeGreaterThan(100);
    expect(gaps(expiries.values()).filter((gapMs) => gapMs < CA_TTL_MS / 2 - 2_000)).toEqual([]);
    const { ok } = traffic.counts();
    console.log(`${load.count} acknowledged changes, ${expiries.size} authorities, ${ok} requests`);
  },
  90_000 + KILLS * 45_000,
);

/** Between one authority's end and the next one's: as long as between their beginnings. */
function gaps(instants: Iterable<number>): number[] {
  const sorted = [...instants].sort((a, b) => a - b);
  return sorted.slice(1).map((instant, index) => instant - (sorted[index] ?? 0));
}
