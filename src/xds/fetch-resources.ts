import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { TrustplaneError, type WorkloadAttachment, type WorkloadUpdate } from '../spiffe/index.ts';
import { type PeerProcess, toServiceError } from '../wire/index.ts';
import type { SotwRequest } from './discovery-request.ts';
import type { TypedResponse } from './discovery-response.ts';
import { callerGone, type StreamContext } from './discovery-stream.ts';
import type { ResourceSession } from './resource-type.ts';
import { receiveSotw, respondSotw } from './sotw-stream.ts';
import { initialStreamState } from './stream-state.ts';

/**
 * Answers a unary request at once with what exists of what it names; a client that wants to wait
 * streams. The answer is the first response of a stream with the same request.
 */
export function fetchResources(
  call: ServerUnaryCall<Buffer, TypedResponse>,
  callback: sendUnaryData<TypedResponse>,
  peer: PeerProcess,
  request: SotwRequest,
  context: StreamContext,
): void {
  let attachment: WorkloadAttachment | undefined;
  let done = false;
  const finish = (answer: () => TypedResponse): void => {
    if (done) return;
    done = true;
    attachment?.close();
    try {
      callback(null, answer());
    } catch (error) {
      callback(toServiceError(error));
    }
  };
  call.on('cancelled', () => {
    done = true;
    attachment?.close();
  });
  attachment = context.source.attach(peer, {
    onUpdate: (update) => finish(() => answerOnce(peer, request, update, context)),
    onGone: (reason) =>
      finish(() => {
        throw callerGone(reason, context.codes);
      }),
  });
  if (done) attachment.close();
}

function answerOnce(
  { pid }: PeerProcess,
  request: SotwRequest,
  update: WorkloadUpdate,
  context: StreamContext,
): TypedResponse {
  const type = context.typeOf(request.typeUrl);
  const session = type?.open({ pid, node: request.node, onChange: () => {} });
  try {
    const response = session && firstResponse(session, request, update, context);
    if (type !== undefined && response !== undefined) return { ...response, typeUrl: type.typeUrl };
  } finally {
    session?.close();
  }
  throw new TrustplaneError(
    `ERR_${context.codes}_NOT_FOUND`,
    'nothing that was asked for exists, or the caller may have none of it; a stream waits for it',
  );
}

function firstResponse(
  session: ResourceSession,
  request: SotwRequest,
  update: WorkloadUpdate,
  { clock }: StreamContext,
): ReturnType<typeof respondSotw>['response'] {
  const view = session.view(update);
  // What it would refuse it cannot say.
  const declined = new Set([...request.names, ...view.names]);
  const now = clock.now();
  const fresh = { ...initialStreamState, declined };
  const asked = receiveSotw(fresh, { ...request, versionInfo: '' }, now);
  return respondSotw(asked.state, view, now).response;
}
