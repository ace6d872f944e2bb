import { existsSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { connectNats } from '../nats/index.ts';
import type { Store } from '../store/index.ts';
import { openJetStreamStore } from '../store/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';
import type { SharedStoreConfig } from './store-config.ts';
import { StoreHealth } from './store-health.ts';

/** A nats-server that is silent, as on a host that was cut off, is left after two to three of them. */
const PING_INTERVAL_MS = 1_000;

/**
 * Opens the store that several servers share; closed with `process`.
 * @param keys the folder of this server's keys: who has some has been here before, and then the store has been too
 * @throws TrustplaneError ERR_NATS_*, ERR_STORE_*
 */
export async function openSharedStore(
  { trustDomain }: Pick<Config, 'trustDomain'>,
  { nats, replicas, monitoringUrls, isTest }: SharedStoreConfig,
  process: Process,
  keys: string,
): Promise<Store> {
  const { log, metrics, clock, closing } = process;
  const { servers, caFile, identity, login } = nats;
  const isSecured = servers.some((server) => server.startsWith('tls://'));
  const link = await connectNats({
    servers,
    purpose: 'store',
    name: `server ${hostname()}`,
    tls: isSecured ? { identity, server: { caFile } } : undefined,
    login,
    pingIntervalMs: PING_INTERVAL_MS,
    clock,
    log,
    metrics,
  });
  closing.defer(() => link.close());
  const health = new StoreHealth(process);
  const store = await openJetStreamStore({
    connection: link.connection,
    trustDomain,
    clock,
    log,
    metrics,
    replicas,
    monitoringUrls,
    isTest,
    mayCreate: !existsSync(keys) || readdirSync(keys).length === 0,
    onWrites: (fault) => health.note(fault),
  });
  closing.defer(() => store.close());
  health.probe(store.bucket('leases'));
  return store;
}
