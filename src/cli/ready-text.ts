import type { Config } from '../app/config.ts';
import { defaultPaths } from '../app/default-paths.ts';
import type { Io } from './io.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, or `[host]:port` of IPv6. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What `up` prints when it serves; while there are no entries, with what to do next. */
export function formatReady(
  config: Config,
  io: Io,
  isEmpty: boolean,
  address: Address | undefined,
  bundleEndpoint?: { readonly url: string },
): string {
  const lines = [
    `trustplane is ready for the trust domain ${config.trustDomain.name}`,
    `  Workload API and SDS  unix://${config.socket}`,
    `  server API            unix://${config.adminSocket}`,
    ...(address === undefined ? [] : [`  agents                ${formatAddress(address)}`]),
    ...(bundleEndpoint === undefined ? [] : [`  bundle endpoint       ${bundleEndpoint.url}`]),
    `  data directory        ${config.dataDir}`,
    ...authzLines(config),
    ...(isEmpty ? firstSteps(config, io) : []),
  ];
  return `${lines.join('\n')}\n`;
}

function authzLines({ authz }: Config): string[] {
  if (authz === undefined) return [];
  const { socket, listen, policies } = authz;
  return [
    ...(socket === undefined ? [] : [`  ext_authz             unix://${socket}`]),
    ...(listen === undefined ? [] : [`  ext_authz             ${formatAddress(listen)}`]),
    `  policies              ${typeof policies === 'string' ? policies : 'from the control plane'}`,
  ];
}

/** Commands that work as they stand, in another terminal of the same user. */
function firstSteps({ trustDomain, socket, adminSocket }: Config, io: Io): string[] {
  const usual = defaultPaths(io.uid, io.env);
  const program = io.env['npm_command'] === 'exec' ? 'npx trustplane' : 'trustplane';
  const admin = adminSocket === usual.adminSocket ? '' : ` --admin-socket ${adminSocket}`;
  const agent = socket === usual.socket ? '' : ` --socket ${socket}`;
  const id = `spiffe://${trustDomain.name}/me`;
  return [
    '',
    'There are no registration entries yet. To give yourself an identity, in another terminal:',
    `  ${program} entry create${admin} --spiffe-id ${id} --selector unix:uid:${io.uid}`,
    `  ${program} api fetch x509${agent}`,
  ];
}
