import { once } from 'node:events';
import type { Client, ClientDuplexStream } from '@grpc/grpc-js';
import { isServiceError } from './remote-error.ts';
import { methodOf, type UnaryCall } from './unary-call.ts';

type DuplexCall = Pick<UnaryCall, 'service' | 'method' | 'toError'> & {
  readonly client: Client;
  readonly requests: Iterable<object>;
};

/** Makes one call with a stream of requests, at the pace of who reads them, and yields the answers. Rejects with what `toError` makes. */
export async function* callDuplex<Response>(call: DuplexCall): AsyncGenerator<Response> {
  const { client, requests, toError } = call;
  const { path, requestSerialize, responseDeserialize } = methodOf(call.service, call.method);
  const stream = client.makeBidiStreamRequest<object, Response>(
    path,
    requestSerialize,
    (bytes): Response => responseDeserialize(bytes),
  );
  // A cancelled call emits its error also when nobody reads on.
  stream.on('error', () => {});
  const sent = send(stream, requests);
  // It fails as the answers do.
  sent.catch(() => {});
  try {
    for await (const message of stream) yield message;
    await sent;
  } catch (error) {
    throw isServiceError(error) ? toError(error) : error;
  } finally {
    stream.cancel();
  }
}

async function send(
  stream: ClientDuplexStream<object, unknown>,
  requests: Iterable<object>,
): Promise<void> {
  for (const request of requests) {
    if (stream.destroyed) return;
    if (!stream.write(request)) await once(stream, 'drain');
  }
  stream.end();
}
