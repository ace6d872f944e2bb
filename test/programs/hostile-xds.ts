/**
 * A client of the agent's socket (first argument) that does what no Envoy does (second argument), as often as
 * the third says, and prints `done` when it is through; what its streams end with is printed, too.
 */

import { loadDiscoveryMessages } from '../../src/xds/index.ts';
import { EcdsClient, type ReceivedResources } from '../fakes/ecds-client.ts';
import { encodeRequest, type TestStream } from '../fakes/test-stream.ts';
import { createSeededRandom } from './seeded-random.ts';

const RBAC = 'trustplane.rbac';
const EXTENSIONS = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';
const SECRETS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';

type Attack = (path: string, times: number) => Promise<void>;
type Stream = TestStream<ReceivedResources>;

function nodeOf(minor: number, more: object = {}): object {
  const version = { major_number: 1, minor_number: minor };
  return {
    id: `x${minor}`,
    user_agent_name: 'envoy',
    user_agent_build_version: { version },
    ...more,
  };
}

const node = nodeOf(40);

function namesOf(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, at) => `${RBAC}?policy=${from + at}`);
}

/** The next response, or how the stream ended. */
async function nextOf(stream: Stream): Promise<ReceivedResources | undefined> {
  const ended = stream.ended.then((error) => {
    console.log(`ended: ${error?.details ?? 'OK'}`);
    return undefined;
  });
  return await Promise.race([stream.next().catch(() => undefined), ended]);
}

/** Waits until it was heard, which a request about nothing is not answered for. */
async function heard(path: string): Promise<void> {
  const client = new EcdsClient(path);
  await client.fetch({ resource_names: ['trustplane.nothing'] }).catch(() => undefined);
  client.close();
}

const attacks: Readonly<Record<string, Attack>> = {
  /** A thousand policies on each of some streams. */
  async names(path, times) {
    const streams = Array.from({ length: times }, (_, at) => {
      const stream = new EcdsClient(path).delta();
      stream.send({ node, resource_names_subscribe: namesOf(900, at * 900) });
      return stream;
    });
    await Promise.all(streams.map(nextOf));
  },
  /** Others again and again. */
  async churn(path, times) {
    const stream = new EcdsClient(path).delta();
    stream.send({ node, resource_names_subscribe: [RBAC] });
    await nextOf(stream);
    for (let at = 0; at < times; at++) {
      stream.send({
        resource_names_subscribe: namesOf(500, at * 500),
        resource_names_unsubscribe: at === 0 ? [] : namesOf(500, (at - 1) * 500),
      });
      await nextOf(stream);
    }
  },
  /** Refuses what it gets, each time with other words, and asks for it again. */
  async nacks(path, times) {
    const stream = new EcdsClient(path).delta();
    stream.send({ node, resource_names_subscribe: [RBAC] });
    for (let at = 0; at < times; at++) {
      const response = await nextOf(stream);
      if (response === undefined) return;
      const message = `no ${at}\u001b[31m${'x'.repeat(100_000)}`;
      stream.send({ response_nonce: response.nonce, error_detail: { code: 3, message } });
      stream.send({ resource_names_unsubscribe: [RBAC] });
      stream.send({ resource_names_subscribe: [RBAC] });
    }
  },
  /** Asks for all there is on many streams and reads none. */
  async idle(path, times) {
    for (let at = 0; at < times; at++) {
      const stream = new EcdsClient(path)[at % 2 === 0 ? 'delta' : 'sotw']();
      stream.call.pause();
      stream.send({ node, resource_names: [RBAC], resource_names_subscribe: [RBAC] });
    }
    await heard(path);
  },
  /** Every type in turn, on one stream; some that nobody serves. */
  async types(path, times) {
    const stream = new EcdsClient(path).adsSotw();
    for (let at = 0; at < times; at++) {
      const type_url = [EXTENSIONS, SECRETS, `type.googleapis.com/none.${at}`][at % 3];
      const resource_names = [['default'], [RBAC], ['\0', 'ünï', `${RBAC}?policy=\0`]][at % 2];
      stream.send({ ...(at === 0 && { node }), type_url, resource_names });
    }
    await nextOf(stream);
  },
  /** Says of itself more than there is to say, asks for names that are none, or sends what is no request. */
  async bytes(path, times) {
    const messages = loadDiscoveryMessages();
    const random = createSeededRandom(Number(process.env['SEED'] ?? 1));
    const wide = { fields: { x: { stringValue: 'y'.repeat(200_000) } } };
    const requests = [
      { node: nodeOf(40, { metadata: wide }), resource_names_subscribe: [RBAC] },
      { node: nodeOf(40, { id: 'i'.repeat(300_000) }), resource_names_subscribe: [RBAC] },
      { node, resource_names_subscribe: ['n'.repeat(10_240)] },
      { node, resource_names_subscribe: Array.from({ length: 1_001 }, String) },
      { node, type_url: 'type.googleapis.com/none', resource_names_subscribe: [RBAC] },
    ];
    for (let at = 0; at < times; at++) {
      const client = new EcdsClient(path);
      const stream = client.delta();
      const request = requests[at % (requests.length + 1)];
      stream.sendBytes(
        request === undefined
          ? Buffer.from(Array.from({ length: 200 }, () => random(256)))
          : encodeRequest(messages.deltaRequest, request),
      );
      await nextOf(stream);
      client.close();
    }
  },
  /** Another version of itself each time, on streams that stay. */
  async versions(path, times) {
    const client = new EcdsClient(path);
    for (let minor = 0; minor < times; minor++)
      client.delta().send({ node: nodeOf(minor), resource_names_subscribe: [RBAC] });
    await heard(path);
  },
  /** Asks without a stream. */
  async fetches(path, times) {
    const client = new EcdsClient(path);
    for (let at = 0; at < times; at += 50)
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          await client.fetch({ node, resource_names: namesOf(100, at) }).catch(() => undefined);
        }),
      );
  },
};

const [path = '', attack = '', times = ''] = process.argv.slice(2);
await attacks[attack]?.(path, Number(times));
console.log('done');
setInterval(() => {}, 60_000);
