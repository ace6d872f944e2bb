import type { CrlRegistry, KeptCrl } from '../ca/index.ts';
import { quote, TrustplaneError } from '../spiffe/index.ts';
import { buildSeconds } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';

interface GetCrlRequest {
  readonly authority_id?: string;
}

/** trustplane.admin.v1.Crls; to be guarded. */
export function createCrlService(crls: Pick<CrlRegistry, 'all' | 'get'>): GrpcService {
  return {
    definition: loadService('trustplane/admin/v1/crls.proto', 'trustplane.admin.v1.Crls'),
    implementation: {
      ListCrls: unary(async () => ({ crls: crls.all().map(buildCrl) })),
      GetCrl: unary(async ({ authority_id = '' }: GetCrlRequest) => {
        const kept = crls.get(authority_id);
        if (kept !== undefined) return { crl: buildCrl(kept), der: kept.crl.der };
        const message = `there is no CRL of an authority ${quote(authority_id)}`;
        throw new TrustplaneError('ERR_CRL_UNKNOWN', message);
      }),
    },
  };
}

function buildCrl({ crl, isWithheld }: KeptCrl): object {
  return {
    authority_id: crl.authorityId,
    number: String(crl.number),
    this_update: buildSeconds(crl.thisUpdate),
    next_update: buildSeconds(crl.nextUpdate),
    revoked: crl.count,
    withheld: isWithheld,
  };
}
