import { findEnvoy } from '../../test/programs/find-envoy.ts';
import type { RunningEnvoy } from '../../test/programs/launch-envoy.ts';
import type { RunningTrustplane } from '../../test/programs/launch-trustplane.ts';
import { launchTrustplane } from '../../test/programs/launch-trustplane.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import type { SidecarPair } from '../../test/programs/sidecar-pair.ts';
import { launchSidecars } from '../../test/programs/sidecar-pair.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';
/** Short lives, so that a rotation comes every few seconds. */
const lives = ['--x509-svid-ttl', '5s', '--ca-ttl', '30s', '--log-level', 'warn'];

/** trustplane, two Envoys and an application, live. */
export interface Mesh extends AsyncDisposable {
  readonly pair: SidecarPair;
  /** Rejects when one of the programs ends; never resolves. */
  readonly failed: Promise<never>;
}

/** Starts everything; what was started is stopped again when a part fails. */
export async function startMesh(note: (message: string) => void): Promise<Mesh> {
  await using starting = new AsyncDisposableStack();
  note('looking for Envoy (the first time this may download it)');
  const envoy = await findEnvoy();
  note(`Envoy ${envoy.version} from ${envoy.origin}`);
  const folder = createRunFolder();
  starting.defer(async () => await folder.remove());
  const trustplane = await launchTrustplane(folder.path, ...lives);
  starting.defer(async () => void (await trustplane.stop()));
  // Both Envoys run as this user, so both entries match either: each asks for its own by name.
  for (const id of [clientId, serverId]) await trustplane.createEntry(id);
  const places = { folder: folder.path, agentSocket: trustplane.socket };
  const pair = await launchSidecars({ ...places, clientId, serverId, protocol: 'sotw' });
  starting.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const failed = endOfAny({ trustplane, 'client Envoy': pair.client, 'server Envoy': pair.server });
  const stack = starting.move();
  return { pair, failed, [Symbol.asyncDispose]: async () => await stack.disposeAsync() };
}

async function endOfAny(
  programs: Record<string, RunningTrustplane | RunningEnvoy>,
): Promise<never> {
  const ends = Object.entries(programs).map(async ([name, program]) => {
    const how = await program.ended;
    return `${name} ended with ${how}:\n${program.lines.slice(-20).join('\n')}`;
  });
  throw new Error(await Promise.race(ends));
}
