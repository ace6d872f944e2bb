import type { JwtCa } from '../ca/index.ts';
import type { AuthorizedEntries } from '../entries/index.ts';
import type { Log, Metrics } from '../ops/index.ts';
import {
  type AuditLog,
  messageOf,
  parseAudience,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import { requireAuthorizedEntry } from './authorized-entry.ts';
import { jwtIssuance } from './issuance-event.ts';

export interface JwtIssuanceOptions {
  /** The live closure of an agent; undefined for one that is not attested now. */
  readonly authorizedEntriesOf: (agentId: SpiffeId) => Pick<AuthorizedEntries, 'get'> | undefined;
  /** Of what an agent was attested with; undefined for one that is not attested. */
  readonly attestationDigestOf: (agentId: SpiffeId) => string | undefined;
  readonly jwtCa: Pick<JwtCa, 'issueJwtSvid'>;
  readonly audit: AuditLog;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** One JWT-SVID that an agent asks for. */
export interface JwtIssuanceRequest {
  readonly entryId: string;
  readonly audience: readonly string[];
}

/** Instants in milliseconds since the epoch. */
export interface IssuedJwt {
  readonly spiffeId: SpiffeId;
  /** JWS compact serialization. */
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Issues JWT-SVIDs to agents. */
export interface JwtIssuance {
  /**
   * The identity and the lifetime are the entry's: a token comes out only if the agent is authorized
   * for the entry at the moment of signing, and only when it is in the ledger.
   * @throws TrustplaneError ERR_SVID_ENTRY, ERR_JWT_AUDIENCE_LIST, ERR_CA_*, ERR_AUDIT_WRITE
   */
  issue(agentId: SpiffeId, request: JwtIssuanceRequest): Promise<IssuedJwt>;
}

export function createJwtIssuance(options: JwtIssuanceOptions): JwtIssuance {
  const { authorizedEntriesOf, jwtCa, audit, log, metrics } = options;
  const issued = metrics.counter('trustplane_api_jwt_svids_total', 'JWT-SVIDs issued to agents.');
  const refused = metrics.counter(
    'trustplane_api_jwt_svid_refusals_total',
    'JWT-SVIDs refused to agents, by error code.',
    ['code'],
  );

  async function issue(agentId: SpiffeId, request: JwtIssuanceRequest): Promise<IssuedJwt> {
    const audience = parseAudience(request.audience);
    // Asked for last, so that nothing lies between the answer and the signature.
    const entry = requireAuthorizedEntry(authorizedEntriesOf, agentId, request.entryId);
    const { spiffeId, jwtSvidTtlSeconds, jwtSvidIncludeJti, expiresAt } = entry;
    const { authorityId, ...svid } = await jwtCa.issueJwtSvid({
      spiffeId,
      audience,
      ttlSeconds: jwtSvidTtlSeconds,
      includeJti: jwtSvidIncludeJti,
      ...(expiresAt !== undefined && { notAfterLimit: expiresAt }),
    });
    const reason = {
      spiffeId,
      entry,
      attestationDigest: options.attestationDigestOf(agentId),
      requester: { kind: 'agent', spiffeId: agentId.toString() },
      purpose: 'workload',
    } as const;
    await audit.record([jwtIssuance(reason, { authorityId, ...svid }, audience)]);
    issued.inc();
    return { spiffeId, ...svid };
  }

  return {
    async issue(agentId, request) {
      try {
        return await issue(agentId, request);
      } catch (error) {
        const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
        refused.inc({ code });
        log.warn(
          { agentId: agentId.toString(), entryId: request.entryId, code, error: messageOf(error) },
          'JWT-SVID refused',
        );
        throw error;
      }
    },
  };
}
