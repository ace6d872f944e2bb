import type { X509Ca } from '../ca/index.ts';
import {
  type Clock,
  messageOf,
  parseCsr,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import type { Authorization, CallOfSomebody } from './authorization.ts';
import { type DownstreamOptions, type DownstreamRequest, signDownstream } from './downstream-ca.ts';
import { x509Issuance } from './issuance-event.ts';
import { createJwtSvidMethods, type JwtSvidMethodsOptions } from './jwt-svid-methods.ts';
import { requesterOf } from './requester-of.ts';
import type { SvidIssuance } from './svid-issuance.ts';
import { buildX509Svid } from './svid-message.ts';
import { unary } from './unary.ts';
import { errorStatus, okStatus } from './wire-values.ts';
import { requireWorkloadId } from './workload-id.ts';

export interface SvidServiceOptions
  extends Omit<JwtSvidMethodsOptions, 'authorization'>,
    DownstreamOptions {
  readonly ca: Pick<X509Ca, 'issueX509Svid'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly issuance: SvidIssuance;
  readonly authorization: Pick<Authorization, 'agentOf' | 'downstreamOf'>;
}

interface BatchRequest {
  readonly params?: readonly { readonly entry_id?: string; readonly csr?: Uint8Array }[];
}

interface MintRequest {
  readonly csr?: Uint8Array;
  readonly ttl?: number;
}

/** spire.api.server.svid.v1.SVID, for X.509 and JWT; to be guarded. */
export function createSvidService(options: SvidServiceOptions): GrpcService {
  const { issuance, authorization } = options;
  return {
    definition: loadService('spire/api/server/svid/v1/svid.proto', 'spire.api.server.svid.v1.SVID'),
    implementation: {
      BatchNewX509SVID: unary<BatchRequest, object>(async ({ params = [] }, call) => {
        const { id } = authorization.agentOf(call);
        const requests = params.map(({ entry_id = '', csr = new Uint8Array() }) => ({
          entryId: entry_id,
          csr,
        }));
        const results = await issuance.issue(id, requests);
        return {
          results: results.map((result) =>
            'error' in result
              ? { status: errorStatus(result.error) }
              : { status: okStatus, svid: buildX509Svid(result.spiffeId, result) },
          ),
        };
      }),
      MintX509SVID: unary((request: MintRequest, call) => mint(options, request, call)),
      ...createJwtSvidMethods(options),
      NewDownstreamX509CA: unary((request: DownstreamRequest, call) =>
        signDownstream(options, request, call),
      ),
    },
  };
}

async function mint(
  { ca, trustDomain, audit, userName, revocations, clock, log }: SvidServiceOptions,
  { csr = new Uint8Array(), ttl = 0 }: MintRequest,
  call: CallOfSomebody,
): Promise<object> {
  if (ttl < 0) throw refused(`ttl: expected 0 or more seconds; got ${ttl}`);
  const { publicKey, uriSans, dnsSans } = parseCsr(csr);
  const spiffeId = parseOnlyId(uriSans, trustDomain);
  revocations.checkIssuance({ spiffeId, issuedAt: clock.now() });
  const svid = await ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: ttl, dnsNames: dnsSans });
  const requester = requesterOf(call, userName);
  await audit.record([x509Issuance({ spiffeId, requester, purpose: 'mint' }, svid, clock.now())]);
  const { serialNumber, expiresAt } = svid;
  log.info({ spiffeId: spiffeId.toString(), serialNumber, expiresAt }, 'SVID minted');
  return { svid: buildX509Svid(spiffeId, svid) };
}

/** @throws TrustplaneError ERR_API_REQUEST */
function parseOnlyId(uriSans: readonly string[], trustDomain: TrustDomain): SpiffeId {
  const [uri, ...others] = uriSans;
  if (uri === undefined || others.length > 0) {
    throw refused(`csr: expected one URI SAN; got ${uriSans.length}`);
  }
  let id: SpiffeId;
  try {
    id = SpiffeId.parse(uri);
  } catch (error) {
    throw refused(`csr: ${messageOf(error)}`);
  }
  return requireWorkloadId(id, trustDomain, 'csr');
}

function refused(message: string): TrustplaneError {
  return new TrustplaneError('ERR_API_REQUEST', message);
}
