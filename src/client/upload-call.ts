import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { TrustplaneError } from '../spiffe/index.ts';
import { methodOf, type UnaryCall } from './unary-call.ts';

type UploadCall = Pick<UnaryCall, 'service' | 'method' | 'toError'> & {
  readonly client: Client;
  readonly requests: Iterable<object>;
  readonly timeoutMs: number;
};

/** Makes one call with a stream of requests. Rejects with what `toError` makes, and with ERR_REMOTE when the answer is nothing. */
export function callUpload<Response>(call: UploadCall): Promise<Response> {
  const { client, requests, timeoutMs, toError } = call;
  const { path, requestSerialize, responseDeserialize } = methodOf(call.service, call.method);
  return new Promise((resolve, reject) => {
    const stream = client.makeClientStreamRequest<object, Response>(
      path,
      requestSerialize,
      (bytes): Response => responseDeserialize(bytes),
      new Metadata(),
      { deadline: Date.now() + timeoutMs },
      (error: ServiceError | null, response?: Response) => {
        if (error !== null) reject(toError(error));
        else if (response === undefined)
          reject(new TrustplaneError('ERR_REMOTE', `${call.method} was answered with nothing`));
        else resolve(response);
      },
    );
    for (const request of requests) stream.write(request);
    stream.end();
  });
}
