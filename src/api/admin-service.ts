import type { AuthorityStatus, X509Ca } from '../ca/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import type { HealthCheck } from '../ops/index.ts';
import type { Clock, TrustDomain } from '../spiffe/index.ts';
import { buildSeconds } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';

export interface AdminServiceOptions {
  readonly version: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly entries: Pick<EntryRegistry, 'count'>;
  readonly ca: Pick<X509Ca, 'status'>;
  readonly checks: () => readonly HealthCheck[];
}

/** trustplane.admin.v1.Admin */
export function createAdminService(options: AdminServiceOptions): GrpcService {
  return {
    definition: loadService('trustplane/admin/v1/admin.proto', 'trustplane.admin.v1.Admin'),
    implementation: { GetStatus: unary(() => buildStatus(options)) },
  };
}

function buildStatus(options: AdminServiceOptions): object {
  const { authorities } = options.ca.status();
  const checks = options.checks();
  return {
    version: options.version,
    trust_domain: options.trustDomain.name,
    uptime_seconds: buildSeconds(Math.max(0, options.clock.now() - options.startedAt)),
    entries_count: String(options.entries.count()),
    x509_authorities: authorities.map(buildAuthority),
    healthy: checks.every(({ fault }) => fault === undefined),
    checks: checks.map(({ name, fault }) => ({
      name,
      healthy: fault === undefined,
      message: fault ?? '',
    })),
  };
}

function buildAuthority(authority: AuthorityStatus): object {
  return {
    slot: `SLOT_${authority.state.toUpperCase()}`,
    authority_id: authority.authorityId,
    not_before: buildSeconds(authority.notBefore),
    expires_at: buildSeconds(authority.notAfter),
    published: authority.isPublished,
  };
}
