import {
  isReservedPath,
  type SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';

/**
 * An ID that administrators may have SVIDs minted for: of a workload of the own trust domain.
 * @throws TrustplaneError ERR_API_REQUEST, naming the field
 */
export function requireWorkloadId(id: SpiffeId, trustDomain: TrustDomain, field: string): SpiffeId {
  const isMember = id.trustDomain.equals(trustDomain) && !id.isTrustDomainId;
  if (isMember && !isReservedPath(id)) return id;
  throw new TrustplaneError(
    'ERR_API_REQUEST',
    `${field}: expected the ID of a workload in ${trustDomain.id}, not below /spire; got ${id.toString()}`,
  );
}
