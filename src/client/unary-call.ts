import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { TrustplaneError } from '../spiffe/index.ts';
import { loadService } from '../wire/index.ts';

type MethodDefinition = NonNullable<ReturnType<typeof loadService>[string]>;

const DEFAULT_TIMEOUT_MS = 10_000;

/** File below `proto/` and full name of a service. */
export type ServiceName = readonly [file: string, service: string];

export interface UnaryCall {
  readonly client: Client;
  readonly service: ServiceName;
  readonly method: string;
  readonly request: object;
  readonly metadata?: Metadata;
  /** Default 10 s. */
  readonly timeoutMs?: number;
  /** What the caller is told of a call that failed. */
  readonly toError: (error: ServiceError) => TrustplaneError;
}

/** Makes one call. Rejects with what `toError` makes, and with ERR_REMOTE when the answer is nothing. */
export function callUnary<Response>(call: UnaryCall): Promise<Response> {
  const definition = methodOf(call.service, call.method);
  const { client, request, metadata = new Metadata(), timeoutMs = DEFAULT_TIMEOUT_MS } = call;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + timeoutMs },
      answerOf(call, resolve, reject),
    );
  });
}

/** What is done with the answer to a call: it is resolved with, or the error of the call is rejected with. */
export function answerOf<Response>(
  { method, toError }: Pick<UnaryCall, 'method' | 'toError'>,
  resolve: (response: Response) => void,
  reject: (error: TrustplaneError) => void,
): (error: ServiceError | null, response?: Response) => void {
  return (error, response) => {
    if (error !== null) reject(toError(error));
    else if (response === undefined)
      reject(new TrustplaneError('ERR_REMOTE', `${method} was answered with nothing`));
    else resolve(response);
  };
}

/** @throws TrustplaneError ERR_INTERNAL when the service has none of the name */
export function methodOf([file, name]: ServiceName, method: string): MethodDefinition {
  const definition = loadService(file, name)[method];
  if (definition !== undefined) return definition;
  throw new TrustplaneError('ERR_INTERNAL', `${name} has no method ${method}`);
}
