import { isServiceError } from './remote-error.ts';
import { methodOf, type UnaryCall } from './unary-call.ts';

/** Makes one call that is answered with a stream. Rejects with what `toError` makes. */
export async function* callStream<Response>(
  call: Pick<UnaryCall, 'client' | 'service' | 'method' | 'request' | 'toError'>,
): AsyncGenerator<Response> {
  const { client, service, method, request, toError } = call;
  const { path, requestSerialize, responseDeserialize } = methodOf(service, method);
  const stream = client.makeServerStreamRequest<object, Response>(
    path,
    requestSerialize,
    (bytes): Response => responseDeserialize(bytes),
    request,
  );
  // A cancelled call emits its error also when nobody reads on.
  stream.on('error', () => {});
  try {
    for await (const message of stream) yield message;
  } catch (error) {
    throw isServiceError(error) ? toError(error) : error;
  } finally {
    stream.cancel();
  }
}
