import { randomBytes } from 'node:crypto';
import {
  createAdminService,
  createBundleService,
  createEntryService,
  type HealthCheck,
  requireAdmin,
} from '../api/index.ts';
import {
  createMemoryKeyManager,
  createX509Ca,
  type KeyManager,
  loadDiskKeyManager,
  type X509Ca,
} from '../ca/index.ts';
import { defaultSelectorTypes, EntryRegistry } from '../entries/index.ts';
import { createTrustMapSource, openOwnBundle } from '../federation/index.ts';
import type { TrustMapSource } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import {
  createHealth,
  createReflection,
  type GrpcService,
  type Health,
  serveUnix,
} from '../wire/index.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { keyFolder } from './open-state.ts';
import type { Process } from './process.ts';
import { version } from './version.ts';

const SERVICES = [
  'spire.api.server.entry.v1.Entry',
  'spire.api.server.bundle.v1.Bundle',
  'trustplane.admin.v1.Admin',
];
const FILES = [
  'spire/api/server/entry/v1/entry.proto',
  'spire/api/server/bundle/v1/bundle.proto',
  'trustplane/admin/v1/admin.proto',
  'grpc/health/v1/health.proto',
];
const DRAIN_MS = 2_000;

/** The control plane of one trust domain, before it serves anybody. */
export interface ServerRole {
  readonly entries: EntryRegistry;
  readonly ca: X509Ca;
  readonly trust: TrustMapSource;
  /**
   * Begins to serve the server API on the admin socket. `checks`: the health of the other parts of the
   * process; `more`: what else is served there.
   */
  serve(checks: () => readonly HealthCheck[], more?: MoreServices): Promise<Health>;
}

export interface MoreServices {
  readonly services: readonly GrpcService[];
  /** Fully qualified. */
  readonly names: readonly string[];
  /** Relative to `proto/`. */
  readonly files: readonly string[];
}

const NOTHING_MORE: MoreServices = { services: [], names: [], files: [] };

/** Opens what the server owns, in the order in which each thing needs the last. What is opened is closed with `process`. */
export async function openServerRole(
  config: Config,
  process: Process,
  store: Store,
): Promise<ServerRole> {
  const { log, metrics, clock, closing } = process;
  const keyManager = await openKeyManager(config);
  const bucket = store.bucket('authorities');
  const [ownBundle, entries] = await both(
    openOwnBundle({
      bucket,
      trustDomain: config.trustDomain,
      refreshHintSeconds: Math.ceil(config.refreshHintMs / 1_000),
      clock,
      log,
    }),
    EntryRegistry.load({
      bucket: store.bucket('entries'),
      trustDomain: config.trustDomain,
      selectorTypes: defaultSelectorTypes,
      clock,
      randomBytes,
      log,
      metrics,
    }),
  );
  closing.defer(() => ownBundle.close());
  closing.defer(() => entries.close());
  const ca = await createX509Ca({
    trustDomain: config.trustDomain,
    serverId: 'local',
    bucket,
    keyManager,
    ownBundle: ownBundle.publisherFor('local'),
    clock,
    random: randomBytes,
    log,
    metrics,
    caTtlSeconds: Math.ceil(config.caTtlMs / 1_000),
    x509SvidTtlSeconds: Math.ceil(config.x509SvidTtlMs / 1_000),
    backdateSeconds: Math.ceil(config.backdateMs / 1_000),
    keyType: config.caKeyType,
  });
  closing.defer(() => ca.close());
  const trust = createTrustMapSource({ ownBundle });
  const startedAt = clock.now();
  return {
    entries,
    ca,
    trust,
    async serve(checks, more = NOTHING_MORE) {
      const health = createHealth([...SERVICES, ...more.names]);
      const admin = createAdminService({
        version: version(),
        trustDomain: config.trustDomain,
        clock,
        startedAt,
        entries,
        ca,
        checks,
      });
      const guarded = [
        createEntryService({ entries, log }),
        createBundleService({ trustMap: trust }),
        admin,
        ...more.services,
      ];
      const server = await serveUnix({
        path: config.adminSocket,
        mode: 0o600,
        services: [...guarded, health.service, ...createReflection([...FILES, ...more.files])].map(
          (service) => requireAdmin(service, process.uid),
        ),
        name: 'admin',
        log,
        metrics,
        clock,
      });
      closing.defer(() => server.close(DRAIN_MS));
      return health;
    },
  };
}

async function openKeyManager(config: Config): Promise<KeyManager> {
  if (config.keyStorage === 'memory') return createMemoryKeyManager();
  return loadDiskKeyManager({
    folder: keyFolder(config),
    sealKeyFile: config.sealKeyFile,
    random: randomBytes,
  });
}
