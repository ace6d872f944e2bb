import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../ops/log.ts';
import { TrustplaneError } from '../spiffe/errors.ts';
import { askServers, askSubject } from './jetstream-servers.ts';
import { maxMessageBytes } from './jetstream-streams.ts';

const OLDEST: readonly [number, number] = [2, 11];
const SAFE_REPLICAS = 3;

/** Refuses a nats-server that lacks what the store is built on. @throws TrustplaneError ERR_STORE_UNSAFE */
export function checkServer(connection: NatsConnection): void {
  const {
    version = '',
    max_payload: maxPayload = 0,
    server_name: name = '',
  } = connection.info ?? {};
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw unsafe(
      `the nats-server ${name} has version ${version}, expected ${OLDEST.join('.')} or later`,
    );
  }
  if (maxPayload >= maxMessageBytes) return;
  throw unsafe(
    `the nats-server ${name} takes messages of ${maxPayload} bytes, expected ${maxMessageBytes}; set max_payload: 1MB`,
  );
}

export interface SyncCheckOptions {
  readonly connection: NatsConnection;
  readonly log: Log;
  readonly replicas: number;
  /** Names of those that hold the streams. */
  readonly servers: ReadonlySet<string>;
  readonly monitoringUrls?: readonly string[];
  readonly isTest?: boolean;
}

/**
 * Refuses to keep a control plane where a crash takes acknowledged writes: each record is on three servers, and each
 * of them writes to its disk before it acknowledges.
 * @throws TrustplaneError ERR_STORE_UNSAFE
 */
export async function checkSync(options: SyncCheckOptions): Promise<void> {
  const { log, isTest = false } = options;
  const fault = await findFault(options);
  if (fault === undefined) return;
  if (!isTest)
    throw unsafe(
      `${fault}; or, where losing acknowledged changes does no harm, set server.store.isTest`,
    );
  log.warn({ fault }, 'THE STORE IS FOR TESTS: acknowledged changes, revocations too, can be lost');
}

async function findFault(options: SyncCheckOptions): Promise<string | undefined> {
  const { replicas, servers } = options;
  if (replicas < SAFE_REPLICAS) {
    return `records are on ${replicas} server(s) of NATS, expected ${SAFE_REPLICAS} or more; set server.store.replicas`;
  }
  const known = await askServers({ ...options, what: ['config'] });
  for (const server of servers) {
    const answer = known.get(server);
    if (answer?.in('config').get('sync_always') === true) continue;
    if (answer !== undefined) {
      return `the nats-server ${server} acknowledges writes before they are on its disk; set jetstream { sync_interval: always }`;
    }
    return `whether the nats-server ${server} syncs each write could not be learned (heard of: ${[...known.keys()].join(', ') || 'none'}); set server.store.monitoringUrls, or let the account import ${askSubject}`;
  }
  return undefined;
}

function unsafe(message: string): TrustplaneError {
  return new TrustplaneError('ERR_STORE_UNSAFE', message);
}
