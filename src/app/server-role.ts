import { randomBytes } from 'node:crypto';
import {
  createMemoryKeyManager,
  createX509Ca,
  type KeyManager,
  loadDiskKeyManager,
  type X509Ca,
} from '../ca/index.ts';
import { defaultSelectorTypes, EntryRegistry } from '../entries/index.ts';
import { createTrustMapSource, type OwnBundle, openOwnBundle } from '../federation/index.ts';
import { messageOf, type TrustMapSource } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { type Federation, openFederation } from './open-federation.ts';
import { keyFolder } from './open-state.ts';
import type { Process } from './process.ts';

/** The control plane of one trust domain: what it owns, before it serves anybody. */
export interface ServerRole extends Federation {
  readonly ownBundle: OwnBundle;
  readonly entries: EntryRegistry;
  readonly ca: X509Ca;
  readonly trust: TrustMapSource;
}

/** Opens what the server owns, in the order in which each thing needs the last. What is opened is closed with `process`. */
export async function openServerRole(
  config: Config,
  process: Process,
  store: Store,
): Promise<ServerRole> {
  const { log, metrics, clock, closing } = process;
  const keyManager = await openKeyManager(config);
  const bucket = store.bucket('authorities');
  const federation = await openFederation(config, process, store);
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
  watchCa(ca, process);
  const trust = createTrustMapSource({ ownBundle, foreignBundles: federation.foreignBundles });
  return { ...federation, ownBundle, entries, ca, trust };
}

function watchCa(ca: X509Ca, { readiness }: Process): void {
  readiness.require('ca', () => (ca.status().canSign ? undefined : 'no authority can sign now'));
  readiness.observe('rotation', () => {
    const { failure } = ca.status();
    return failure === undefined ? undefined : messageOf(failure.error);
  });
}

async function openKeyManager(config: Config): Promise<KeyManager> {
  if (config.keyStorage === 'memory') return createMemoryKeyManager();
  return loadDiskKeyManager({
    folder: keyFolder(config),
    sealKeyFile: config.sealKeyFile,
    random: randomBytes,
  });
}
