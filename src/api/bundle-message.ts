import type { BundleEdit } from '../federation/index.ts';
import type { Bundle, TrustDomain } from '../spiffe/index.ts';
import { type BundleMask, parseBundleMessage, type WireBundle } from '../sync/index.ts';
import { parseForeignDomain } from './trust-domain-field.ts';

/** @throws TrustplaneError ERR_API_REQUEST, ERR_SYNC_BUNDLE */
export function parseForeignBundle(wire: WireBundle, own: TrustDomain): Bundle {
  const { name } = parseForeignDomain(wire.trust_domain, 'trust_domain', own);
  return parseBundleMessage({ ...wire, trust_domain: name });
}

/** The fields of a bundle that an update sets: those of the mask. @throws as `parseForeignBundle` */
export function parseBundleEdit(
  wire: WireBundle,
  mask: BundleMask,
  own: TrustDomain,
): { readonly trustDomain: TrustDomain; readonly edit: BundleEdit } {
  const isMeant = (field: keyof NonNullable<BundleMask>): boolean => mask?.[field] ?? !mask;
  const { trustDomain, ...given } = parseForeignBundle(wire, own);
  const edit: BundleEdit = {
    ...(isMeant('x509_authorities') && { x509Authorities: given.x509Authorities }),
    ...(isMeant('jwt_authorities') && { jwtAuthorities: given.jwtAuthorities }),
    ...(isMeant('wit_authorities') && { witAuthorities: given.witAuthorities }),
    ...(isMeant('refresh_hint') && { refreshHintSeconds: given.refreshHintSeconds }),
    ...(isMeant('sequence_number') && { sequenceNumber: given.sequenceNumber }),
  };
  return { trustDomain, edit };
}
