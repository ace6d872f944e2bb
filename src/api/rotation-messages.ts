import type { AuthorityKind, AuthorityStatus, CaStatus, Laggard } from '../ca/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { buildSeconds } from '../sync/index.ts';

/** Laggards that are named in one message. */
const MAX_NAMED = 100;

/** trustplane.admin.v1.Authority */
export function buildAuthority(authority: AuthorityStatus): object {
  return {
    slot: `SLOT_${authority.state.toUpperCase()}`,
    authority_id: authority.authorityId,
    not_before: buildSeconds(authority.notBefore),
    expires_at: buildSeconds(authority.notAfter),
    published: authority.isPublished,
    tainted: authority.isTainted,
    ...(authority.upstreamId !== undefined && { upstream_id: authority.upstreamId }),
  };
}

/** trustplane.admin.v1.Rotation */
export function buildRotation(kind: AuthorityKind, status: CaStatus): object {
  const { gate, alarm, failure } = status;
  return {
    kind: `AUTHORITY_KIND_${kind.toUpperCase()}`,
    authorities: status.authorities.map(buildAuthority),
    next_step: `STEP_${status.nextStep.toUpperCase()}`,
    next_step_at: buildSeconds(status.nextStepAt),
    gate: gate && {
      open: gate.isOpen,
      ...buildBehind(gate.behind),
      opens_at: gate.opensAt === undefined ? '0' : buildSeconds(gate.opensAt),
    },
    alarm: alarm && {
      authority_id: alarm.authorityId,
      at: buildSeconds(alarm.at),
      ...buildBehind(alarm.behind),
    },
    failure: failure === undefined ? '' : messageOf(failure.error),
  };
}

/** @throws TrustplaneError ERR_API_REQUEST */
export function parseKind(kind: string | undefined): AuthorityKind {
  if (kind === 'AUTHORITY_KIND_X509') return 'x509';
  if (kind === 'AUTHORITY_KIND_JWT') return 'jwt';
  throw new TrustplaneError('ERR_API_REQUEST', `kind: expected X509 or JWT; got ${kind ?? 'none'}`);
}

/** @throws TrustplaneError ERR_API_REQUEST */
export function parseAuthorityId(
  authorityId: string | undefined,
  field: string = 'authority_id',
): string {
  if (authorityId !== undefined && authorityId !== '') return authorityId;
  throw new TrustplaneError('ERR_API_REQUEST', `${field}: expected one; got none`);
}

function buildBehind(behind: readonly Laggard[]): object {
  return { behind: behind.slice(0, MAX_NAMED), behind_count: behind.length };
}
