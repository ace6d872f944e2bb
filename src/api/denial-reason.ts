import { type ErrorCode, TrustplaneError } from '../spiffe/index.ts';
import { messageType, toServiceError } from '../wire/index.ts';

/** spire.api.types.PermissionDeniedDetails.Reason, by which SPIRE's agents decide what to do next. */
const reasons: Readonly<Partial<Record<ErrorCode, number>>> = {
  ERR_AGENT_EXPIRED: 1,
  ERR_AGENT_NOT_ATTESTED: 2,
  // So that SPIRE's agents let go of what they serve, too.
  ERR_AGENT_SUSPENDED: 2,
  ERR_AGENT_NOT_ACTIVE: 3,
  ERR_AGENT_BANNED: 4,
  ERR_AGENT_MUST_REATTEST: 5,
};

/** Where gRPC carries a google.rpc.Status. */
const STATUS_KEY = 'grpc-status-details-bin';
const DETAILS = 'spire.api.types.PermissionDeniedDetails';

/** The refusal of an agent as it is sent, with the reason in its details; undefined for other errors. */
export function withReason(error: unknown): Error | undefined {
  if (!(error instanceof TrustplaneError)) return undefined;
  const reason = reasons[error.code];
  if (reason === undefined) return undefined;
  const sent = toServiceError(error);
  const details = messageType('spire/api/types/status.proto', DETAILS);
  const status = messageType('google/rpc/status.proto', 'google.rpc.Status').encode({
    code: sent.code,
    message: sent.details,
    details: [
      { type_url: `type.googleapis.com/${DETAILS}`, value: details.encode({ reason }).finish() },
    ],
  });
  sent.metadata.set(STATUS_KEY, Buffer.from(status.finish()));
  return sent;
}
