import { type Client, Metadata } from '@grpc/grpc-js';
import { answerOf, methodOf, type UnaryCall } from './unary-call.ts';

type UploadCall = Pick<UnaryCall, 'service' | 'method' | 'toError'> & {
  readonly client: Client;
  readonly requests: Iterable<object>;
  readonly timeoutMs: number;
};

/** Makes one call with a stream of requests. Rejects with what `toError` makes, and with ERR_REMOTE when the answer is nothing. */
export function callUpload<Response>(call: UploadCall): Promise<Response> {
  const { client, requests, timeoutMs } = call;
  const { path, requestSerialize, responseDeserialize } = methodOf(call.service, call.method);
  return new Promise((resolve, reject) => {
    const stream = client.makeClientStreamRequest<object, Response>(
      path,
      requestSerialize,
      (bytes): Response => responseDeserialize(bytes),
      new Metadata(),
      { deadline: Date.now() + timeoutMs },
      answerOf<Response>(call, resolve, reject),
    );
    for (const request of requests) stream.write(request);
    stream.end();
  });
}
