import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../ops/log.ts';
import { readBytes } from '../ops/read-bytes.ts';
import { messageOf } from '../spiffe/errors.ts';
import { JetStreamAnswer } from './jetstream-api.ts';

const ASK_MS = 2_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
export const askSubject = '$SYS.REQ.SERVER.PING.JSZ';

export interface ServerQuestion {
  readonly connection: NatsConnection;
  readonly log: Log;
  /** Monitoring of each server; none: they are asked through NATS. */
  readonly monitoringUrls?: readonly string[];
  /** Names of those whose answers are awaited; whoever answers is heard. */
  readonly servers: ReadonlySet<string>;
  /** Of nats-server's JSZ, each set to true. */
  readonly what: readonly ('config' | 'accounts' | 'streams')[];
}

/** What nats-servers say of their JetStream, by name; those that do not answer are left out. */
export async function askServers(question: ServerQuestion): Promise<Map<string, JetStreamAnswer>> {
  const { monitoringUrls = [], log, what } = question;
  if (monitoringUrls.length === 0) return await askThroughNats(question);
  const answers = await Promise.all(
    monitoringUrls.map((url) => askMonitoring(url, what, log).catch(() => undefined)),
  );
  return new Map(answers.filter((answer) => answer !== undefined));
}

async function askThroughNats(question: ServerQuestion): Promise<Map<string, JetStreamAnswer>> {
  const { connection, servers, what } = question;
  const known = new Map<string, JetStreamAnswer>();
  try {
    const request = Object.fromEntries(what.map((name) => [name, true]));
    const answers = await connection.requestMany(askSubject, JSON.stringify(request), {
      strategy: 'timer',
      maxWait: ASK_MS,
    });
    for await (const message of answers) {
      const answer = new JetStreamAnswer(JSON.parse(message.string()));
      known.set(answer.in('server').text('name'), answer.in('data'));
      if ([...servers].every((name) => known.has(name))) break;
    }
  } catch {
    // Without the permission there is no answer.
  }
  return known;
}

async function askMonitoring(
  url: string,
  what: readonly string[],
  log: Log,
): Promise<[string, JetStreamAnswer]> {
  try {
    const name = (await fetchJson(new URL('varz', `${url}/`))).text('server_name');
    const query = what.map((each) => `${each}=true`).join('&');
    return [name, await fetchJson(new URL(`jsz?${query}`, `${url}/`))];
  } catch (error) {
    log.warn({ url, error: messageOf(error) }, 'the monitoring of a nats-server does not answer');
    throw error;
  }
}

async function fetchJson(url: URL): Promise<JetStreamAnswer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(ASK_MS), redirect: 'error' });
  const bytes = response.body === null ? '' : await readBytes(response.body, MAX_ANSWER_BYTES);
  return new JetStreamAnswer(JSON.parse(bytes.toString()));
}
