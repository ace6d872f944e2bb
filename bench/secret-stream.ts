import { Client, type ClientDuplexStream } from '@grpc/grpc-js';
import { dialUnix, loadService, messageType } from '../src/wire/index.ts';

const TYPE_URL = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const SECRET = messageType(
  'envoy/extensions/transport_sockets/tls/v3/secret.proto',
  'envoy.extensions.transport_sockets.tls.v3.Secret',
);

interface Response {
  readonly version_info?: string;
  readonly nonce?: string;
  readonly resources?: readonly { readonly value?: Buffer }[];
}

/** An open StreamSecrets call, as one Envoy secret has it. */
export interface SecretStream {
  /** Resolves with the arrival (performance.now) of the first response that holds the secret. */
  arrival(name: string): Promise<number>;
  close(): void;
}

/** Subscribes to `names`, acknowledges every response, and notes when each secret first arrives. */
export function openSecretStream(socket: string, names: readonly string[]): SecretStream {
  const dial = dialUnix(socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  const method = loadService(
    'envoy/service/secret/v3/sds.proto',
    'envoy.service.secret.v3.SecretDiscoveryService',
  ).StreamSecrets;
  if (method === undefined) throw new Error('SDS has no StreamSecrets');
  const call: ClientDuplexStream<object, Response> = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
  );
  const arrivals = new Map(names.map((name) => [name, Promise.withResolvers<number>()]));
  call.on('data', (response: Response) => {
    const now = performance.now();
    for (const { value } of response.resources ?? []) arrivals.get(nameOf(value))?.resolve(now);
    call.write({
      type_url: TYPE_URL,
      resource_names: names,
      version_info: response.version_info,
      response_nonce: response.nonce,
    });
  });
  call.on('error', (error) => {
    for (const { reject } of arrivals.values()) reject(error);
  });
  for (const { promise } of arrivals.values()) promise.catch(() => {});
  call.write({ type_url: TYPE_URL, resource_names: names, node: { id: 'bench' } });
  return {
    arrival: (name) =>
      arrivals.get(name)?.promise ?? Promise.reject(new Error(`${name} is not subscribed`)),
    close() {
      call.cancel();
      client.close();
    },
  };
}

function nameOf(value: Buffer | undefined): string {
  const secret = SECRET.decode(value ?? Buffer.alloc(0));
  return 'name' in secret && typeof secret.name === 'string' ? secret.name : '';
}
