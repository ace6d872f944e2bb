import type { EnvoySecret } from '../../test/programs/envoy-admin.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { launchSidecars, type SidecarPair } from '../../test/programs/sidecar-pair.ts';
import type { InteropAgent, InteropPlace } from '../../test/programs/spire/interop-place.ts';
import {
  createSpireWorkload,
  type SpireWorkload,
} from '../../test/programs/spire/spire-workload.ts';
import { startTraffic, type Traffic } from '../../test/programs/traffic.ts';

export const CLIENT = 'spiffe://example.org/client';
export const SERVER = 'spiffe://example.org/server';

/** Bounds of whatever waits for a poll, a backoff or half of a life. */
export const slow = { timeoutMs: 60_000, everyMs: 200 };

/** An agent of the trust domain with a workload and two Envoys, and traffic between these. */
export interface InteropMesh {
  readonly place: InteropPlace;
  readonly agent: InteropAgent;
  readonly workload: SpireWorkload;
  readonly pair: SidecarPair;
  readonly traffic: Traffic;
}

/** Starts `agent`, which is known as `spiffe://example.org/node`; resolves when requests get through. */
export async function openMesh(
  place: InteropPlace,
  stack: AsyncDisposableStack,
  agent: InteropAgent,
): Promise<InteropMesh> {
  await agent.start();
  for (const id of [CLIENT, SERVER]) await createEntry(place, id);
  const pair = await launchSidecars({
    folder: place.folder,
    agentSocket: agent.socket,
    clientId: CLIENT,
    serverId: SERVER,
    protocol: 'sotw',
  });
  stack.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(60_000), pair.server.waitReady(60_000)]);
  const traffic = startTraffic(pair);
  stack.defer(async () => await traffic.stop());
  return {
    place,
    agent,
    workload: createSpireWorkload(place.spire.agent, agent.socket),
    pair,
    traffic,
  };
}

/** An entry for every workload of this user below that agent; returns its ID. */
export async function createEntry(
  { admin }: InteropPlace,
  spiffeId: string,
  ...flags: readonly string[]
): Promise<string> {
  const selector = ['-selector', `unix:uid:${process.getuid?.() ?? 0}`];
  return await admin.createEntry(spiffeId, 'spiffe://example.org/node', ...selector, ...flags);
}

/** Of the SVID of the one agent there is. */
export async function serialOfAgent({ admin }: InteropPlace): Promise<string | undefined> {
  const [agent] = await admin.agents();
  return agent?.serialNumber;
}

/** A banned agent ends, or stays and has nothing for anybody; starting it again changes nothing. */
export async function servesNobody(agent: InteropAgent, workload: SpireWorkload): Promise<void> {
  const isRefused = async () =>
    await workload.fetchX509().then(
      () => false,
      () => true,
    );
  await eventually('the workload gets nothing any more', isRefused, slow);
  await agent.stop();
  await agent.start().catch(() => {});
  await eventually('nor after a restart', isRefused, slow);
}

/** How many authorities of the trust domain each Envoy trusts. */
export async function countTrusted({ pair }: InteropMesh): Promise<readonly number[]> {
  const secrets = await secretsOf(pair);
  return secrets.map((each) => authoritiesIn(each).length);
}

/** SHA-256 of the authorities that signed what both Envoys present; undefined for one not trusted. */
export async function presentedSigners({
  pair,
}: InteropMesh): Promise<readonly (string | undefined)[]> {
  const secrets = await secretsOf(pair);
  return secrets.flatMap((each) =>
    each.flatMap(({ chain: [leaf] }) => {
      if (leaf === undefined) return [];
      const signer = authoritiesIn(each).find(({ publicKey }) => leaf.verify(publicKey));
      return [signer?.fingerprint256];
    }),
  );
}

async function secretsOf(pair: SidecarPair): Promise<readonly (readonly EnvoySecret[])[]> {
  return await Promise.all([pair.client.secrets(), pair.server.secrets()]);
}

function authoritiesIn(secrets: readonly EnvoySecret[]) {
  return secrets.flatMap(({ authorities }) => authorities.get('example.org') ?? []);
}
