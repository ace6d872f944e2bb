import type { AuthorityControl } from '../ca/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import type { HealthCheck } from '../ops/index.ts';
import type { Clock, TrustDomain } from '../spiffe/index.ts';
import { buildSeconds } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { buildAuthority, buildRotation, parseAuthorityId, parseKind } from './rotation-messages.ts';
import { unary } from './unary.ts';

export interface AdminServiceOptions {
  readonly version: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly entries: Pick<EntryRegistry, 'count'>;
  readonly ca: Pick<AuthorityControl, 'status' | 'activate'>;
  readonly jwtCa: Pick<AuthorityControl, 'status' | 'activate'>;
  /** Undefined: none is served. */
  readonly bundleEndpoint: { readonly url: string; readonly profile: string } | undefined;
  readonly checks: () => readonly HealthCheck[];
}

interface ActivateRequest {
  readonly kind?: string;
  readonly authority_id?: string;
  readonly force?: boolean;
}

/** trustplane.admin.v1.Admin */
export function createAdminService(options: AdminServiceOptions): GrpcService {
  return {
    definition: loadService('trustplane/admin/v1/admin.proto', 'trustplane.admin.v1.Admin'),
    implementation: {
      GetStatus: unary(() => buildStatus(options)),
      GetRotationStatus: unary(() => ({
        rotations: [
          buildRotation('x509', options.ca.status()),
          buildRotation('jwt', options.jwtCa.status()),
        ],
      })),
      ActivateAuthority: unary((request: ActivateRequest) => activate(options, request)),
    },
  };
}

async function activate(
  { ca, jwtCa }: AdminServiceOptions,
  { kind, authority_id, force = false }: ActivateRequest,
): Promise<object> {
  const control = parseKind(kind) === 'x509' ? ca : jwtCa;
  const authority = await control.activate(parseAuthorityId(authority_id), { force });
  return { authority: buildAuthority(authority) };
}

function buildStatus(options: AdminServiceOptions): object {
  const checks = options.checks();
  return {
    version: options.version,
    trust_domain: options.trustDomain.name,
    uptime_seconds: buildSeconds(Math.max(0, options.clock.now() - options.startedAt)),
    entries_count: String(options.entries.count()),
    x509_authorities: options.ca.status().authorities.map(buildAuthority),
    jwt_authorities: options.jwtCa.status().authorities.map(buildAuthority),
    bundle_endpoint: options.bundleEndpoint,
    healthy: checks.every(({ fault }) => fault === undefined),
    checks: checks.map(({ name, fault, detail = '' }) => ({
      name,
      healthy: fault === undefined,
      message: fault ?? '',
      detail,
    })),
  };
}
