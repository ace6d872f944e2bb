import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';

/**
 * A unary handler from a function. What the function returns is the answer; what it throws or rejects
 * with is left to the server, which makes it the call's status.
 */
export function unary<Request, Response>(
  answer: (
    request: Request,
    call: ServerUnaryCall<Request, Response>,
  ) => Response | Promise<Response>,
): (call: ServerUnaryCall<Request, Response>, respond: sendUnaryData<Response>) => unknown {
  return async (call, respond) => respond(null, await answer(call.request, call));
}
