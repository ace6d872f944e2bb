import { X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { eventually } from '../../test/programs/eventually.ts';
import type { RunningEnvoy } from '../../test/programs/launch-envoy.ts';
import { launchSidecars, type SidecarPair } from '../../test/programs/sidecar-pair.ts';
import { startTraffic, type Traffic } from '../../test/programs/traffic.ts';
import type { FederatedDomain, FederatedPlace } from './federated-place.ts';
import { slow } from './interop-mesh.ts';

/** Requests from the Envoys of one trust domain to those of another. */
export interface Direction {
  readonly pair: SidecarPair;
  readonly traffic: Traffic;
}

/** Two trust domains with relationships, and mTLS between their Envoys both ways. */
export interface FederatedMesh {
  readonly place: FederatedPlace;
  readonly there: Direction;
  readonly back: Direction;
  /** What was measured, by what it is. */
  readonly figures: Map<string, string>;
}

/** Creates relationships and entries and starts the Envoys; resolves when requests get through. */
export async function openFederatedMesh(
  place: FederatedPlace,
  stack: AsyncDisposableStack,
): Promise<FederatedMesh> {
  const { ours, theirs, profile } = place;
  await ours.relate(theirs, profile, theirs.url);
  await theirs.relate(ours, profile, ours.url);
  const known = async (domain: FederatedDomain, other: FederatedDomain) =>
    await eventually(
      `the bundle of ${other.trustDomain}`,
      () => domain.keysOf(other.trustDomain),
      slow,
    );
  await Promise.all([known(ours, theirs), known(theirs, ours)]);
  for (const [domain, other] of [
    [ours, theirs],
    [theirs, ours],
  ] as const)
    for (const id of Object.values(idsOf(domain))) await domain.createEntry(id, other.trustDomain);
  const there = await openDirection(place, stack, [ours, theirs], 'by name');
  const back = await openDirection(place, stack, [theirs, ours], 'ALL');
  return { place, there, back, figures: new Map() };
}

function idsOf({ trustDomain }: FederatedDomain) {
  return { client: `spiffe://${trustDomain}/client`, server: `spiffe://${trustDomain}/server` };
}

async function openDirection(
  { folder }: FederatedPlace,
  stack: AsyncDisposableStack,
  [from, to]: readonly [FederatedDomain, FederatedDomain],
  context: 'by name' | 'ALL',
): Promise<Direction> {
  const own = path.join(folder, `to-${to.trustDomain}`);
  await mkdir(own);
  const named = (domain: FederatedDomain): string =>
    context === 'ALL' ? 'ALL' : `spiffe://${domain.trustDomain}`;
  const pair = await launchSidecars({
    folder: own,
    agentSocket: { client: from.socket, server: to.socket },
    clientId: idsOf(from).client,
    serverId: idsOf(to).server,
    protocol: 'sotw',
    context: { client: named(to), server: named(from) },
  });
  stack.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(60_000), pair.server.waitReady(60_000)]);
  const isThrough = async () => (await pair.request()).status === 200;
  await eventually(`requests reach ${to.trustDomain}`, isThrough, slow);
  const traffic = startTraffic(pair);
  stack.defer(async () => await traffic.stop());
  return { pair, traffic };
}

/** Those that have their certificates from the agent of a domain. */
export function envoysOf(mesh: FederatedMesh, domain: FederatedDomain): readonly RunningEnvoy[] {
  const { there, back, place } = mesh;
  return domain === place.ours
    ? [there.pair.client, back.pair.server]
    : [there.pair.server, back.pair.client];
}

/** How many trust an authority of that trust domain. @param der in base64 */
export async function countTrusting(
  envoys: readonly RunningEnvoy[],
  trustDomain: string,
  der: string,
): Promise<number> {
  const trusted = await Promise.all(envoys.map((envoy) => trustedBy(envoy, trustDomain)));
  return trusted.filter((each) => each.includes(der)).length;
}

async function trustedBy(envoy: RunningEnvoy, trustDomain: string): Promise<readonly string[]> {
  const secrets = await envoy.secrets();
  const found = secrets.flatMap(({ authorities }) => authorities.get(trustDomain) ?? []);
  return found.map(({ raw }) => raw.toString('base64'));
}

/** Which of these authorities signed what an Envoy presents; undefined for another one. */
export async function signerOf(
  envoy: RunningEnvoy,
  authorities: readonly string[],
): Promise<string | undefined> {
  const leaf = (await envoy.secrets()).flatMap(({ chain }) => chain.slice(0, 1))[0];
  return authorities.find((der) => {
    const { publicKey } = new X509Certificate(Buffer.from(der, 'base64'));
    return leaf?.verify(publicKey) === true;
  });
}
