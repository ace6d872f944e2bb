import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import type { RunningEnvoy } from '../../test/programs/launch-envoy.ts';
import { adminSocketOf, launchEnvoy } from '../../test/programs/launch-envoy.ts';
import type { RunningTrustplane } from '../../test/programs/launch-trustplane.ts';
import { launchTrustplane, runTrustplane } from '../../test/programs/launch-trustplane.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import type { Variant } from './variants.ts';

export const shopId = 'spiffe://example.org/shop';
export const webId = 'spiffe://example.org/web';
export const batchId = 'spiffe://example.org/batch';
const sidecarNames = ['shop-1', 'shop-2'] as const;
/** The agent gives them rules; `perRuleStats` has them count by rule. */
const rbac = { perRuleStats: true };

/** An Envoy beside the shop, made by `trustplane envoy bootstrap`. */
export interface Sidecar {
  readonly name: string;
  readonly envoy: RunningEnvoy;
  /** Where it takes mTLS. */
  readonly socket: string;
  readonly accessLog: string;
}

/** trustplane, and the shop behind two Envoys. */
export interface Place extends AsyncDisposable {
  readonly variant: Variant;
  readonly folder: string;
  /** The directory that is decided by. */
  readonly policies: string;
  readonly sidecars: readonly Sidecar[];
  /** Entry of the web workload. */
  readonly webEntry: string;
  readonly agentSocket: string;
  readonly adminSocket: string;
  /** SIGKILL, for server and agent are one process here; resolves when it has ended. */
  killAgent(): Promise<void>;
  /** Starts it again as it was; resolves when it is ready. */
  startAgent(): Promise<void>;
  /** Rejects when an Envoy ends by itself; never resolves. */
  readonly failed: Promise<never>;
}

/** Starts everything; what was started ends when a part fails. */
export async function launchPlace(variant: Variant): Promise<Place> {
  await using starting = new AsyncDisposableStack();
  const run = createRunFolder();
  starting.defer(async () => await run.remove());
  const folder = run.path;
  const policies = copyPolicies(folder, variant);
  const config = path.join(folder, 'trustplane.yaml');
  writeFileSync(config, configuration(folder, policies, variant));
  const start = async (): Promise<RunningTrustplane> =>
    await launchTrustplane(folder, '--config', config);
  let trustplane = await start();
  starting.defer(async () => void (await trustplane.stop()));
  starting.use(await serveShop(path.join(folder, 'app.sock')));
  const [webEntry] = await Promise.all(
    [webId, batchId, shopId].map(async (id) => await trustplane.createEntry(id)),
  );
  const sidecars = await Promise.all(
    sidecarNames.map(async (name) => {
      const sidecar = await launchSidecar(folder, name, trustplane.socket, variant);
      starting.defer(async () => await sidecar.envoy.stop());
      return sidecar;
    }),
  );
  await Promise.all(sidecars.map(async ({ envoy }) => await envoy.waitReady()));
  const failed = endOfAny(sidecars);
  failed.catch(() => {});
  const { socket: agentSocket, adminSocket } = trustplane;
  const stack = starting.move();
  return {
    variant,
    folder,
    policies,
    sidecars,
    webEntry: webEntry ?? '',
    agentSocket,
    adminSocket,
    async killAgent() {
      trustplane.kill('SIGKILL');
      await trustplane.ended;
    },
    async startAgent() {
      trustplane = await start();
    },
    failed,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

function copyPolicies(folder: string, { hasDraft }: Variant): string {
  const policies = path.join(folder, 'policies');
  mkdirSync(policies);
  const files = ['policies/shop.yaml', ...(hasDraft ? ['drafts/reports.yaml'] : [])];
  for (const file of files)
    copyFileSync(path.join(import.meta.dirname, file), path.join(policies, path.basename(file)));
  return policies;
}

function configuration(folder: string, policies: string, { hasCheck }: Variant): string {
  const socket = hasCheck ? { socket: path.join(folder, 'authz.sock') } : {};
  return JSON.stringify({ authz: { policies, rbac, ...socket }, log: { level: 'warn' } });
}

/** The application: it answers everybody, and leaves who they are to Envoy. */
async function serveShop(socketPath: string): Promise<AsyncDisposable> {
  const server = createServer((_, response) => void response.end('the shop\n'));
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function launchSidecar(
  folder: string,
  name: string,
  agentSocket: string,
  { authz, hasCheck }: Variant,
): Promise<Sidecar> {
  const socket = path.join(folder, `${name}.sock`);
  const accessLog = path.join(folder, `${name}.log`);
  const flags = {
    '--spiffe-id': shopId,
    '--node-id': name,
    '--agent-socket': agentSocket,
    '--authz': authz,
    ...(hasCheck && { '--authz-socket': path.join(folder, 'authz.sock') }),
    '--listen': socket,
    '--upstream': path.join(folder, 'app.sock'),
    '--access-log': accessLog,
    '--admin': adminSocketOf(folder, name),
  };
  const { code, stdout, stderr } = await runTrustplane(
    'envoy',
    'bootstrap',
    ...Object.entries(flags).flat(),
  );
  if (code !== 0) throw new Error(`envoy bootstrap failed: ${stderr}`);
  const envoy = await launchEnvoy({ folder, name, bootstrap: stdout });
  return { name, envoy, socket, accessLog };
}

async function endOfAny(sidecars: readonly Sidecar[]): Promise<never> {
  const ends = sidecars.map(async ({ name, envoy }) => {
    const how = await envoy.ended;
    return `${name} ended with ${how}:\n${envoy.lines.slice(-20).join('\n')}`;
  });
  throw new Error(await Promise.race(ends));
}
