import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { TrustplaneError, type WorkloadAttachment, type WorkloadUpdate } from '../spiffe/index.ts';
import { type PeerProcess, toServiceError } from '../wire/index.ts';
import type { SotwRequest } from './discovery-request.ts';
import type { SecretResponse } from './respond.ts';
import { callerGone, type SdsContext } from './sds-stream.ts';
import { receiveSotw, respondSotw } from './sotw-stream.ts';
import { initialStreamState } from './stream-state.ts';

/**
 * Answers a unary request at once with what exists of what it names; a client that wants to wait
 * streams. The answer is the first response of a stream with the same request.
 */
export function fetchSecrets(
  call: ServerUnaryCall<Buffer, SecretResponse>,
  callback: sendUnaryData<SecretResponse>,
  peer: PeerProcess,
  request: SotwRequest,
  context: SdsContext,
): void {
  let attachment: WorkloadAttachment | undefined;
  let done = false;
  const finish = (answer: () => SecretResponse): void => {
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
    onUpdate: (update) => finish(() => answerOnce(request, update, context)),
    onGone: (reason) =>
      finish(() => {
        throw callerGone(reason);
      }),
  });
  if (done) attachment.close();
}

function answerOnce(
  request: SotwRequest,
  update: WorkloadUpdate,
  context: SdsContext,
): SecretResponse {
  const view = context.viewOf(update, context.modeFor(request.node));
  // What it would refuse it cannot say.
  const declined = new Set([...request.names, ...view.names]);
  const asked = receiveSotw({ ...initialStreamState, declined }, { ...request, versionInfo: '' });
  const { response } = respondSotw(asked.state, view, context.clock.now());
  if (response !== undefined) return response;
  throw new TrustplaneError(
    'ERR_SDS_NOT_FOUND',
    'no secret that was asked for exists, or the caller may have none of them; StreamSecrets waits for them',
  );
}
