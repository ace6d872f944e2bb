import type { X509AuthorityStatus, X509Ca } from '../ca/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import { type Clock, messageOf, type TrustDomain } from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';
import { buildSeconds } from './wire-values.ts';

/** One part of the process; `fault` says why it does not do its work, undefined that it does. */
export interface HealthCheck {
  readonly name: string;
  readonly fault: string | undefined;
}

export interface AdminServiceOptions {
  readonly version: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly entries: Pick<EntryRegistry, 'count'>;
  readonly ca: Pick<X509Ca, 'status'>;
  /** Of the parts other than the CA. */
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
  const { authorities, health, failure } = options.ca.status();
  const caFault = health === 'ok' ? undefined : `${health}: ${failureText(failure)}`;
  const checks = [{ name: 'ca', fault: caFault }, ...options.checks()];
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

function failureText(failure: { readonly error: Error } | undefined): string {
  return failure === undefined ? 'no authority can sign now' : messageOf(failure.error);
}

function buildAuthority(authority: X509AuthorityStatus): object {
  return {
    slot: `SLOT_${authority.state.toUpperCase()}`,
    authority_id: authority.authorityId,
    not_before: buildSeconds(authority.notBefore),
    expires_at: buildSeconds(authority.notAfter),
    published: authority.isPublished,
  };
}
