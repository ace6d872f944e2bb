import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../test/programs/eventually.ts';
import type { RunningEnvoy } from '../../test/programs/launch-envoy.ts';
import type { Spire } from '../../test/programs/spire/find-spire.ts';
import {
  countTrusting,
  envoysOf,
  type FederatedMesh,
  openFederatedMesh,
  signerOf,
} from './federated-mesh.ts';
import { type FederatedDomain, openFederatedPlace } from './federated-place.ts';
import { type Profile, readKeys } from './federated-side.ts';
import { slow } from './interop-mesh.ts';
import { type Drill, explain, reportFault, runSteps } from './run-drill.ts';

/** Runs it with bundle endpoints of one profile; returns how many steps failed. */
export async function runTwoDomains(spire: Spire, profile: Profile): Promise<number> {
  process.stdout.write(`two trust domains, ${profile} both ways\n`);
  await using place = await openFederatedPlace(spire, profile);
  await using stack = new AsyncDisposableStack();
  const logs = () => place.logs();
  const mesh = await openFederatedMesh(place, stack).catch(explain);
  if (typeof mesh === 'string') return reportFault('requests get through', mesh, logs());
  return await runSteps(twoDomains, mesh, logs);
}

/** trustplane and SPIRE, each the other's foreign trust domain, under traffic both ways. */
const twoDomains: Pick<Drill<FederatedMesh>, 'check' | 'summary' | 'steps'> = {
  check: ({ there, back }) => {
    assert.deepEqual(there.traffic.counts().failures, []);
    assert.deepEqual(back.traffic.counts().failures, []);
  },
  summary: ({ figures, there, back }) => {
    const counts = [there, back].map(({ traffic }) => traffic.counts());
    figures.set('requests from trustplane to SPIRE', String(counts[0]?.ok));
    figures.set('requests from SPIRE to trustplane', String(counts[1]?.ok));
    return [...figures].map(([what, value]) => `${what.padEnd(62)} ${value}`).join('\n  ');
  },
  steps: {
    'each server has the keys that the other publishes': async ({ place: { ours, theirs } }) => {
      await bothWays(ours, theirs, async (domain, other) => {
        const published = readKeys(await other.document());
        assert.ok(published.x509.length > 0 && published.jwt.length > 0, 'keys of both kinds');
        assert.deepEqual(await domain.keysOf(other.trustDomain), published);
      });
    },
    'a JWT-SVID of each is valid at the other': validateTokens,
    'no WIT key is published, and those of others do no harm here': witKeys,
    'the authority of trustplane is replaced': async (mesh) => await rotate(mesh, mesh.place.ours),
    'the authority of SPIRE is replaced': async (mesh) => await rotate(mesh, mesh.place.theirs),
    'the authority of trustplane is replaced by force, and revoked': async (mesh) =>
      await rotate(mesh, mesh.place.ours, 'by force'),
    'the authority of SPIRE is replaced by force, and revoked': async (mesh) =>
      await rotate(mesh, mesh.place.theirs, 'by force'),
    'a JWT-SVID of each is still valid at the other': validateTokens,
    'no fetch has failed on either side': async ({ place }) => {
      const failed = [...place.logs().values()].flatMap((lines) =>
        lines.filter((line) => /bundle not fetched|Error updating bundle/u.test(line)),
      );
      assert.deepEqual(failed, []);
    },
    'a relationship that is deleted here ends all new handshakes': endHere,
    'a relationship is deleted there': endThere,
  },
};

async function bothWays(
  ours: FederatedDomain,
  theirs: FederatedDomain,
  check: (domain: FederatedDomain, other: FederatedDomain) => Promise<void>,
): Promise<void> {
  await check(ours, theirs);
  await check(theirs, ours);
}

async function validateTokens({ place: { ours, theirs } }: FederatedMesh): Promise<void> {
  await bothWays(ours, theirs, async (domain, other) => {
    const token = await other.workload.fetchJwt('audience');
    const id = await domain.workload.validateJwt('audience', token);
    assert.ok(id.startsWith(`spiffe://${other.trustDomain}/`), id);
  });
}

/** A bundle of a third trust domain with one more key, which SPIRE takes from 1.15.3 on. */
async function witKeys({ place: { ours, theirs }, figures }: FederatedMesh): Promise<void> {
  const document = await ours.document();
  assert.doesNotMatch(document, /wit-svid/u);
  const { keys, ...rest }: { keys: { use: string; kid?: string }[] } = JSON.parse(document);
  const twin = keys.find(({ use }) => use === 'jwt-svid');
  const withWit = JSON.stringify({ ...rest, keys: [...keys, { ...twin, use: 'wit-svid' }] });
  await ours.setBundle('wit.test', withWit);
  assert.deepEqual(await ours.keysOf('wit.test'), readKeys(document));
  const taken = await theirs.setBundle('wit.test', withWit).then(
    () => 'taken',
    (error: unknown) => `refused: ${String(error)}`,
  );
  add(figures, 'a bundle with a WIT key, by SPIRE', taken);
}

/** Nobody presents what the other side does not know yet, and what is revoked the other side forgets. */
async function rotate(
  mesh: FederatedMesh,
  domain: FederatedDomain,
  force?: 'by force',
): Promise<void> {
  const { place, figures } = mesh;
  const other = domain === place.ours ? place.theirs : place.ours;
  const name = domain === place.ours ? 'trustplane' : 'SPIRE';
  const to = domain === place.ours ? 'SPIRE' : 'trustplane';
  const { trustDomain, authorities } = domain;
  const own = envoysOf(mesh, domain);
  const foreign = envoysOf(mesh, other);
  const before = readKeys(await domain.document()).x509;
  const old = await signerOf(first(own), before);
  assert.ok(old !== undefined, 'the active authority is in the bundle');
  const begin = performance.now();

  const next = await authorities.prepare();
  const der = readKeys(await domain.document()).x509.find((each) => !before.includes(each));
  assert.ok(der !== undefined, 'the prepared authority is in the bundle');
  const arrive = async (where: string, has: () => Promise<boolean>): Promise<void> => {
    await eventually(`the new authority of ${name} at ${where}`, has, slow);
    add(figures, `prepared by ${name} → ${where}`, seconds(begin));
  };
  await Promise.all([
    arrive(`the server of ${to}`, async () => (await other.keysOf(trustDomain)).x509.includes(der)),
    arrive(
      `the Envoys of ${to}`,
      async () => (await countTrusting(foreign, trustDomain, der)) === foreign.length,
    ),
  ]);
  const oldId = await authorities.activate(next);
  add(figures, `prepared by ${name} → active`, seconds(begin));
  if (force !== undefined) await authorities.taint(oldId);
  const isPresented = async () =>
    (await Promise.all(own.map((envoy) => signerOf(envoy, [der])))).every(
      (signer) => signer !== undefined,
    );
  await eventually(`the Envoys of ${name} present certificates below it`, isPresented, slow);
  if (force === undefined) return;
  await revoke(mesh, domain, { id: oldId, der: old });
}

async function revoke(
  mesh: FederatedMesh,
  domain: FederatedDomain,
  old: { readonly id: string; readonly der: string },
): Promise<void> {
  const { ours, theirs } = mesh.place;
  const other = domain === ours ? theirs : ours;
  const [name, to] = domain === ours ? ['trustplane', 'SPIRE'] : ['SPIRE', 'trustplane'];
  const foreign = envoysOf(mesh, other);
  const begin = performance.now();
  await domain.authorities.revoke(old.id);
  await eventually(
    `the Envoys of ${to} forget the revoked authority`,
    async () => (await countTrusting(foreign, domain.trustDomain, old.der)) === 0,
    slow,
  );
  add(mesh.figures, `revoked by ${name} → gone from the Envoys of ${to}`, seconds(begin));
}

/** Requests stop first: they are to fail. */
async function endHere(mesh: FederatedMesh): Promise<void> {
  const { place, there, back, figures } = mesh;
  await Promise.all([there.traffic.stop(), back.traffic.stop()]);
  const begin = performance.now();
  await place.ours.unrelate(place.theirs.trustDomain);
  const isRefused = async () =>
    (await Promise.all([there, back].map(({ pair }) => pair.request()))).every(
      ({ status }) => status === 503,
    );
  await eventually('new handshakes are refused', isRefused, slow);
  // A connection lives for one second at most.
  add(figures, 'relationship deleted by trustplane → all refused', seconds(begin));
  for (let again = 0; again < 10; again++) {
    assert.ok(await isRefused(), 'and stay refused');
    await delay(200);
  }
}

/** What SPIRE makes of it is shown, and counts for nothing. */
async function endThere(mesh: FederatedMesh): Promise<void> {
  const { place, there, back, figures } = mesh;
  const { ours, theirs } = place;
  const authorities = readKeys(await ours.document()).x509;
  const begin = performance.now();
  await theirs.unrelate(ours.trustDomain);
  const forget = async (context: string, envoy: RunningEnvoy): Promise<void> => {
    const isGone = async () => {
      const counts = authorities.map((der) => countTrusting([envoy], ours.trustDomain, der));
      return (await Promise.all(counts)).every((count) => count === 0);
    };
    const outcome = await eventually('its Envoy trusts nothing of it', isGone, forgetting).then(
      () => seconds(begin),
      () => `not within ${seconds(begin)}`,
    );
    add(figures, `deleted by SPIRE → gone from its Envoy, ${context}`, outcome);
  };
  await Promise.all([forget('by name', there.pair.server), forget('ALL', back.pair.client)]);
}

const forgetting = { timeoutMs: 30_000, everyMs: 200 };

function first<T>([one]: readonly T[]): T {
  if (one === undefined) throw new Error('none');
  return one;
}

function seconds(begin: number): string {
  return `${((performance.now() - begin) / 1_000).toFixed(1)} s`;
}

function add(figures: Map<string, string>, what: string, value: string): void {
  const known = figures.get(what);
  figures.set(what, known === undefined ? value : `${known}, ${value}`);
}
