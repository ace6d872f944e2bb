import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../ops/log.ts';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import { JetStreamAnswer } from './jetstream-api.ts';
import { maxMessageBytes } from './jetstream-streams.ts';

const OLDEST: readonly [number, number] = [2, 11];
const SAFE_REPLICAS = 3;
const ASK_MS = 2_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const ASK_SUBJECT = '$SYS.REQ.SERVER.PING.JSZ';

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
  const known = await askServers(options);
  for (const server of servers) {
    const isSynced = known.get(server);
    if (isSynced === true) continue;
    if (isSynced === false) {
      return `the nats-server ${server} acknowledges writes before they are on its disk; set jetstream { sync_interval: always }`;
    }
    return `whether the nats-server ${server} syncs each write could not be learned (heard of: ${[...known.keys()].join(', ') || 'none'}); set server.store.monitoringUrls, or let the account import ${ASK_SUBJECT}`;
  }
  return undefined;
}

/** Whether each server syncs always, by name. */
async function askServers(options: SyncCheckOptions): Promise<Map<string, boolean>> {
  const { monitoringUrls = [], connection } = options;
  if (monitoringUrls.length === 0) return await askThroughNats(connection, options.servers);
  const answers = await Promise.all(
    monitoringUrls.map((url) => askMonitoring(url, options.log).catch(() => undefined)),
  );
  return new Map(answers.filter((answer) => answer !== undefined));
}

async function askThroughNats(
  connection: NatsConnection,
  servers: ReadonlySet<string>,
): Promise<Map<string, boolean>> {
  const known = new Map<string, boolean>();
  try {
    const answers = await connection.requestMany(ASK_SUBJECT, '{"config":true}', {
      strategy: 'timer',
      maxWait: ASK_MS,
    });
    for await (const message of answers) {
      const answer = new JetStreamAnswer(JSON.parse(message.string()));
      known.set(answer.in('server').text('name'), isSyncedIn(answer.in('data')));
      if ([...servers].every((name) => known.has(name))) break;
    }
  } catch {
    // Without the permission there is no answer, and what is not known is refused.
  }
  return known;
}

async function askMonitoring(url: string, log: Log): Promise<[string, boolean]> {
  try {
    const name = (await fetchJson(new URL('varz', `${url}/`))).text('server_name');
    return [name, isSyncedIn(await fetchJson(new URL('jsz?config=true', `${url}/`)))];
  } catch (error) {
    log.warn({ url, error: messageOf(error) }, 'the monitoring of a nats-server does not answer');
    throw error;
  }
}

async function fetchJson(url: URL): Promise<JetStreamAnswer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(ASK_MS), redirect: 'error' });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`more than ${MAX_ANSWER_BYTES} bytes came`);
    chunks.push(chunk);
  }
  return new JetStreamAnswer(JSON.parse(Buffer.concat(chunks).toString()));
}

function isSyncedIn(answer: JetStreamAnswer): boolean {
  return answer.in('config').get('sync_always') === true;
}

function unsafe(message: string): TrustplaneError {
  return new TrustplaneError('ERR_STORE_UNSAFE', message);
}
