import path from 'node:path';
import {
  type BootstrapFlags,
  parseBootstrapFlags,
  writeBootstrapYaml,
} from '../../src/envoy/index.ts';
import { adminSocketOf, launchEnvoy, type RunningEnvoy } from './launch-envoy.ts';

export const madeIds = {
  client: 'spiffe://example.org/client',
  server: 'spiffe://example.org/server',
} as const;

/** client → client Envoy → mTLS → server Envoy → application, both as `trustplane envoy bootstrap` makes them. */
export interface MadeSidecars {
  readonly client: RunningEnvoy;
  readonly server: RunningEnvoy;
  /** Where the client's application speaks to its Envoy. */
  readonly egress: string;
  /** Where the server's Envoy finds its application. */
  readonly application: string;
  /** Where the server's Envoy logs. */
  readonly accessLog: string;
  stop(): Promise<void>;
}

/** Starts both with sockets in `folder`, without waiting for their certificates. */
export async function launchMadeSidecars(
  folder: string,
  agentSocket: string,
  flags: {
    readonly both?: Partial<BootstrapFlags>;
    readonly server?: Partial<BootstrapFlags>;
    readonly client?: Partial<BootstrapFlags>;
  },
): Promise<MadeSidecars> {
  const place = (name: string): string => path.join(folder, name);
  const shared = { agentSocket, maxConnectionDuration: '60s', ...flags.both };
  const server = await launch(folder, 'server', {
    ...shared,
    role: 'server',
    spiffeId: madeIds.server,
    admin: adminSocketOf(folder, 'server'),
    listen: place('in.sock'),
    upstream: place('app.sock'),
    accessLog: place('access.log'),
    ...flags.server,
  });
  const client = await launch(folder, 'client', {
    ...shared,
    role: 'client',
    spiffeId: madeIds.client,
    admin: adminSocketOf(folder, 'client'),
    egress: place('out.sock'),
    peer: place('in.sock'),
    peerId: [madeIds.server],
    ...flags.client,
  });
  return {
    client,
    server,
    egress: place('out.sock'),
    application: place('app.sock'),
    accessLog: place('access.log'),
    stop: async () => void (await Promise.all([client.stop(), server.stop()])),
  };
}

async function launch(folder: string, name: string, flags: BootstrapFlags): Promise<RunningEnvoy> {
  const bootstrap = writeBootstrapYaml(parseBootstrapFlags(flags), ['test']);
  return await launchEnvoy({ folder, name, bootstrap });
}
