import type { RunningEnvoy } from './launch-envoy.ts';
import type { RunningTrustplane } from './launch-trustplane.ts';
import { launchTrustplane } from './launch-trustplane.ts';
import { createRunFolder } from './run-folder.ts';
import type { SidecarPair } from './sidecar-pair.ts';
import { launchSidecars } from './sidecar-pair.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';

/** trustplane, two Envoys and an application. */
export interface Mesh extends AsyncDisposable {
  /** Where all sockets and data are. */
  readonly folder: string;
  readonly trustplane: RunningTrustplane;
  readonly pair: SidecarPair;
  /** Creates the entries of client and server, in this order, and waits until both Envoys are live. */
  register(): Promise<void>;
  /** Rejects when one of the programs ends by itself; never resolves. */
  readonly failed: Promise<never>;
}

/** Starts everything, without entries; what was started is stopped again when a part fails. */
export async function launchMesh(
  protocol: 'sotw' | 'delta',
  ...flags: readonly string[]
): Promise<Mesh> {
  await using starting = new AsyncDisposableStack();
  const folder = createRunFolder();
  starting.defer(async () => await folder.remove());
  const trustplane = await launchTrustplane(folder.path, ...flags);
  starting.defer(async () => void (await trustplane.stop()));
  const places = { folder: folder.path, agentSocket: trustplane.socket };
  const pair = await launchSidecars({ ...places, clientId, serverId, protocol });
  starting.defer(async () => await pair.stop());
  const failed = endOfAny({ trustplane, 'client Envoy': pair.client, 'server Envoy': pair.server });
  failed.catch(() => {});
  const stack = starting.move();
  return {
    folder: folder.path,
    trustplane,
    pair,
    failed,
    register: async () => {
      // Both Envoys run as this user, so both entries match either: each asks for its own by name.
      for (const id of [clientId, serverId]) await trustplane.createEntry(id);
      await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
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
