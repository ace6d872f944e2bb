import type { JwtCa } from '../ca/index.ts';
import type { Log } from '../ops/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import { type AuditLog, type Clock, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { buildSpiffeId, parseSpiffeId, type WireSpiffeId } from '../sync/index.ts';
import type { Authorization, CallOfSomebody } from './authorization.ts';
import { jwtIssuance } from './issuance-event.ts';
import type { IssuedJwt, JwtIssuance } from './jwt-issuance.ts';
import { requesterOf, type UserNames } from './requester-of.ts';
import { unary } from './unary.ts';
import { requireWorkloadId } from './workload-id.ts';

export interface JwtSvidMethodsOptions {
  readonly trustDomain: TrustDomain;
  readonly jwtCa: Pick<JwtCa, 'issueJwtSvid'>;
  readonly jwtIssuance: JwtIssuance;
  readonly audit: AuditLog;
  readonly userName: UserNames;
  readonly authorization: Pick<Authorization, 'agentOf'>;
  readonly revocations: Pick<RevocationRegistry, 'checkIssuance'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

interface NewRequest {
  readonly entry_id?: string;
  readonly audience?: readonly string[];
}

interface MintRequest {
  readonly id?: WireSpiffeId | null;
  readonly audience?: readonly string[];
  readonly ttl?: number;
}

/** What the SVID service has for JWT-SVIDs. */
export interface JwtSvidMethods {
  readonly NewJWTSVID: ReturnType<typeof unary<NewRequest, object>>;
  readonly MintJWTSVID: ReturnType<typeof unary<MintRequest, object>>;
}

export function createJwtSvidMethods(options: JwtSvidMethodsOptions): JwtSvidMethods {
  const { authorization, jwtIssuance } = options;
  return {
    NewJWTSVID: unary(async ({ entry_id = '', audience = [] }, call) => {
      const { id } = authorization.agentOf(call);
      return { svid: buildJwtSvid(await jwtIssuance.issue(id, { entryId: entry_id, audience })) };
    }),
    MintJWTSVID: unary((request, call) => mint(options, request, call)),
  };
}

/** Signs for any workload ID of the trust domain. */
async function mint(
  { jwtCa, trustDomain, revocations, audit, userName, clock, log }: JwtSvidMethodsOptions,
  { id, audience = [], ttl = 0 }: MintRequest,
  call: CallOfSomebody,
): Promise<object> {
  if (ttl < 0) {
    throw new TrustplaneError('ERR_API_REQUEST', `ttl: expected 0 or more seconds; got ${ttl}`);
  }
  const asked = parseSpiffeId(id, 'id', 'ERR_API_REQUEST');
  const spiffeId = requireWorkloadId(asked, trustDomain, 'id');
  // Tokens tell time in seconds.
  revocations.checkIssuance({ spiffeId, issuedAt: Math.floor(clock.now() / 1_000) * 1_000 });
  const svid = await jwtCa.issueJwtSvid({ spiffeId, audience, ttlSeconds: ttl });
  const requester = requesterOf(call, userName);
  await audit.record([jwtIssuance({ spiffeId, requester, purpose: 'mint' }, svid, audience)]);
  const { expiresAt } = svid;
  log.info({ spiffeId: spiffeId.toString(), audience, expiresAt }, 'JWT-SVID minted');
  return { svid: buildJwtSvid({ spiffeId, ...svid }) };
}

/** spire.api.types.JWTSVID; instants as numbers, which are encoded faster than texts. */
function buildJwtSvid({ spiffeId, token, issuedAt, expiresAt }: IssuedJwt): object {
  return {
    token,
    id: buildSpiffeId(spiffeId),
    issued_at: Math.floor(issuedAt / 1000),
    expires_at: Math.floor(expiresAt / 1000),
  };
}
