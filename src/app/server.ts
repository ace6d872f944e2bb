import {
  audited,
  createAdminService,
  createAuditService,
  createCrlService,
  createDebugService,
  createLoggerService,
  createServersService,
  requireAdmin,
} from '../api/index.ts';
import { limitLog } from '../ops/index.ts';
import { serveTls, serveUnix } from '../wire/index.ts';
import type { Config } from './config.ts';
import { advertisedAddress } from './control-plane.ts';
import type { Fleet } from './fleet.ts';
import { auditSourceOf, openUserNames } from './open-audit.ts';
import type { BundleEndpoint } from './open-bundle-endpoint.ts';
import { keepListening, type Process } from './process.ts';
import { type ServedService, withHealth } from './served-service.ts';
import type { ServerRole } from './server-role.ts';
import { version } from './version.ts';

/** A whole server, alone in its process or beside an agent. */
export interface Server {
  readonly role: ServerRole;
  readonly fleet: Fleet;
}

/** Where others reach a server; undefined: nowhere. */
export interface Ports {
  readonly agents: AgentListener | undefined;
  readonly bundleEndpoint: BundleEndpoint | undefined;
}

/** Where agents reach a server, and what it shows them. */
export interface AgentListener {
  readonly host: string;
  readonly port: number;
  /** DER, leaf first. @throws TrustplaneError ERR_CA_EXPIRED */
  svidChain(): readonly Uint8Array[];
}

/** Begins to serve agents over TLS; closed with `process`. @throws TrustplaneError ERR_LISTEN */
export async function serveAgents(
  address: { readonly host: string; readonly port: number },
  process: Process,
  { role, fleet }: Server,
): Promise<AgentListener> {
  const { log, metrics, clock } = process;
  const identity = await role.identity();
  const listener = await serveTls({
    ...address,
    identity: () => identity.current(),
    trust: () => role.trust.current().own,
    services: fleet.services.map(({ service }) => service),
    quickMethods: ['/spire.api.server.svid.v1.SVID/NewJWTSVID'],
    // Strangers may connect, and be refused, as often as they like.
    log: limitLog(log, clock),
    metrics,
    clock,
  });
  keepListening(process, listener);
  const { host, port } = listener;
  role.controlPlane.directory?.sayAddress(advertisedAddress(listener));
  return { host, port, svidChain: () => identity.current().certificateChain };
}

/**
 * Begins to serve administrators on the admin socket; closed with `process`.
 * @throws TrustplaneError ERR_SOCKET_*
 */
export async function serveAdministrators(
  config: Config,
  process: Process,
  { role, fleet }: Server,
  ports: Ports,
): Promise<void> {
  const { log, metrics, clock, uid } = process;
  const startedAt = clock.now();
  const local: readonly ServedService[] = [
    {
      service: createAdminService({
        version: version(),
        trustDomain: config.trustDomain,
        clock,
        startedAt,
        entries: role.entries,
        ca: role.ca,
        jwtCa: role.jwtCa,
        bundleEndpoint: ports.bundleEndpoint,
        checks: () => process.readiness.check().checks,
      }),
      file: 'trustplane/admin/v1/admin.proto',
    },
    {
      service: createDebugService({
        ...role,
        agents: fleet.agents,
        clock,
        startedAt,
        svidChain: () => ports.agents?.svidChain() ?? [],
      }),
      file: 'spire/api/server/debug/v1/debug.proto',
    },
    { service: createCrlService(role.crls), file: 'trustplane/admin/v1/crls.proto' },
    {
      service: createAuditService(auditSourceOf(role.audit)),
      file: 'trustplane/audit/v1/audit.proto',
    },
    {
      service: createServersService({ ...role, ...role.controlPlane }),
      file: 'trustplane/admin/v1/servers.proto',
    },
    {
      service: createLoggerService('server', process.logLevel, log),
      file: 'spire/api/server/logger/v1/logger.proto',
    },
  ];
  const userName = openUserNames(process);
  const own = [...local, ...process.adminServices].map(({ service, file }) => ({
    service: audited(service, { audit: role.audit, userName }),
    file,
  }));
  const server = await serveUnix({
    path: config.adminSocket,
    mode: 0o600,
    services: withHealth([...fleet.services, ...own], process).map((service) =>
      requireAdmin(service, uid),
    ),
    name: 'admin',
    log,
    metrics,
    clock,
  });
  keepListening(process, server);
}
