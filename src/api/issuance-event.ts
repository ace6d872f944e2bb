import { hash } from 'node:crypto';
import type { IssuedJwtSvid, IssuedX509Svid } from '../ca/index.ts';
import type {
  IssuancePurpose,
  JwtIssuanceEvent,
  RegistrationEntry,
  Requester,
  SpiffeId,
  X509IssuanceEvent,
} from '../spiffe/index.ts';

/** Why an SVID was signed, and for whom. */
export interface IssuanceReason {
  readonly spiffeId: Pick<SpiffeId, 'toString'>;
  /** What entitled to it. */
  readonly entry?: Pick<RegistrationEntry, 'id' | 'revisionNumber'> | undefined;
  readonly attestationDigest?: string | undefined;
  readonly requester: Requester;
  readonly purpose: IssuancePurpose;
}

/** `now`: of the signature, milliseconds since the epoch. */
export function x509Issuance(
  reason: IssuanceReason,
  { serialNumber, authorityId, expiresAt }: IssuedX509Svid,
  now: number,
): X509IssuanceEvent {
  const common = commonOf(reason);
  return { kind: 'x509-svid', serialNumber, ...common, issuedAt: now, expiresAt, authorityId };
}

export function jwtIssuance(
  reason: IssuanceReason,
  { token, authorityId, issuedAt, expiresAt }: IssuedJwtSvid,
  audience: readonly string[],
): JwtIssuanceEvent {
  const tokenDigest = hash('sha256', token, 'hex');
  const common = commonOf(reason);
  return { kind: 'jwt-svid', tokenDigest, audience, ...common, issuedAt, expiresAt, authorityId };
}

function commonOf({ spiffeId, entry, attestationDigest, requester, purpose }: IssuanceReason) {
  return {
    spiffeId: spiffeId.toString(),
    entryId: entry?.id,
    entryRevision: entry?.revisionNumber,
    attestationDigest,
    requester,
    purpose,
  };
}
