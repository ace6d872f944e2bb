import {
  type AuthorityControl,
  type AuthorityStatus,
  joinAuthorities,
  type UpstreamFollower,
} from '../ca/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { buildSeconds } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { parseAuthorityId } from './rotation-messages.ts';
import { unary } from './unary.ts';

type Control = Pick<
  AuthorityControl,
  'status' | 'prepare' | 'activate' | 'taint' | 'revoke' | 'peers'
>;

export interface LocalAuthorityServiceOptions {
  readonly ca: Control;
  readonly jwtCa: Control;
  /** What stands above the X.509 authorities; undefined when they are self-signed. */
  readonly upstream: Pick<UpstreamFollower, 'taintRoot' | 'revokeRoot'> | undefined;
}

interface IdRequest {
  readonly authority_id?: string;
}

interface UpstreamRequest {
  readonly subject_key_id?: string;
}

type Methods = GrpcService['implementation'];

/**
 * spire.api.server.localauthority.v1.LocalAuthority, without WIT; to be guarded. As in SPIRE, whose
 * callers know no other way, activating an authority does not wait until everybody knows it; where
 * somebody does not, there is an alarm.
 */
export function createLocalAuthorityService(options: LocalAuthorityServiceOptions): GrpcService {
  return {
    definition: loadService(
      'spire/api/server/localauthority/v1/localauthority.proto',
      'spire.api.server.localauthority.v1.LocalAuthority',
    ),
    implementation: {
      ...methodsFor('X509', options.ca),
      ...methodsFor('JWT', options.jwtCa),
      TaintX509UpstreamAuthority: upstreamMethod(options, 'taintRoot'),
      RevokeX509UpstreamAuthority: upstreamMethod(options, 'revokeRoot'),
    },
  };
}

function methodsFor(kind: 'X509' | 'JWT', ca: Control): Methods {
  // Of any server of the control plane.
  const shared = joinAuthorities(ca, ca.peers);
  return {
    [`Get${kind}AuthorityState`]: unary(() => buildState(ca)),
    [`Prepare${kind}Authority`]: unary(async () => ({
      prepared_authority: buildAuthority(await ca.prepare()),
    })),
    [`Activate${kind}Authority`]: unary(async ({ authority_id }: IdRequest) => ({
      activated_authority: buildAuthority(
        await ca.activate(parseAuthorityId(authority_id), { force: true }),
      ),
    })),
    [`Taint${kind}Authority`]: unary(async ({ authority_id }: IdRequest) => ({
      tainted_authority: buildAuthority(await shared.taint(parseAuthorityId(authority_id))),
    })),
    [`Revoke${kind}Authority`]: unary(async ({ authority_id }: IdRequest) => ({
      revoked_authority: buildAuthority(await shared.revoke(parseAuthorityId(authority_id))),
    })),
  };
}

/** One authority for each slot; of several old ones the youngest, which was active last. */
function buildState(ca: Control): object {
  const { authorities } = ca.status();
  const inState = (state: AuthorityStatus['state']): object | undefined => {
    const youngest = authorities
      .filter((authority) => authority.state === state)
      .reduce<AuthorityStatus | undefined>(
        (best, one) => (best === undefined || one.issuedAt > best.issuedAt ? one : best),
        undefined,
      );
    return youngest && buildAuthority(youngest);
  };
  return { active: inState('active'), prepared: inState('prepared'), old: inState('old') };
}

/** AuthorityState */
function buildAuthority({ authorityId, notAfter, upstreamId = '' }: AuthorityStatus): object {
  return {
    authority_id: authorityId,
    expires_at: buildSeconds(notAfter),
    upstream_authority_subject_key_id: upstreamId,
  };
}

function upstreamMethod(
  { upstream }: LocalAuthorityServiceOptions,
  step: 'taintRoot' | 'revokeRoot',
): ReturnType<typeof unary<UpstreamRequest, object>> {
  return unary(async ({ subject_key_id: id }) => {
    if (upstream === undefined) throw noUpstream();
    const upstreamId = parseAuthorityId(id, 'subject_key_id');
    await upstream[step](upstreamId);
    return { upstream_authority_subject_key_id: upstreamId };
  });
}

function noUpstream(): TrustplaneError {
  return new TrustplaneError(
    'ERR_CA_UPSTREAM',
    'this server has no upstream authority: its authorities are self-signed; use the commands for the local ones',
  );
}
