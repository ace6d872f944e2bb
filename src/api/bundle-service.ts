import type { Bundle, TokenAuthority, TrustMapSource } from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';
import { buildSeconds } from './wire-values.ts';

/** spire.api.types.BundleMask; undefined for all fields. */
type BundleMask =
  | {
      readonly [F in
        | 'x509_authorities'
        | 'jwt_authorities'
        | 'wit_authorities'
        | 'refresh_hint'
        | 'sequence_number']?: boolean;
    }
  | null
  | undefined;

/** spire.api.server.bundle.v1.Bundle: the own bundle and how many are trusted. */
export function createBundleService(options: { readonly trustMap: TrustMapSource }): GrpcService {
  const { trustMap } = options;
  return {
    definition: loadService(
      'spire/api/server/bundle/v1/bundle.proto',
      'spire.api.server.bundle.v1.Bundle',
    ),
    implementation: {
      CountBundles: unary(() => ({ count: 1 + trustMap.current().federated.size })),
      GetBundle: unary((request: { output_mask?: BundleMask }) =>
        buildBundle(trustMap.current().own, request.output_mask),
      ),
    },
  };
}

function buildBundle(bundle: Bundle, mask: BundleMask): object {
  const isMeant = (field: keyof NonNullable<BundleMask>): boolean => mask?.[field] ?? !mask;
  return {
    trust_domain: bundle.trustDomain.name,
    ...(isMeant('x509_authorities') && {
      x509_authorities: bundle.x509Authorities.map(({ certificate, tainted }) => ({
        asn1: certificate,
        tainted,
      })),
    }),
    ...(isMeant('jwt_authorities') && { jwt_authorities: bundle.jwtAuthorities.map(buildKey) }),
    ...(isMeant('wit_authorities') && { wit_authorities: bundle.witAuthorities.map(buildKey) }),
    ...(isMeant('refresh_hint') && { refresh_hint: String(bundle.refreshHintSeconds ?? 0) }),
    ...(isMeant('sequence_number') && { sequence_number: buildSequence(bundle.sequenceNumber) }),
  };
}

function buildKey({ publicKey, keyId, expiresAt, tainted }: TokenAuthority): object {
  return {
    public_key: publicKey,
    key_id: keyId,
    expires_at: buildSeconds(expiresAt),
    tainted,
  };
}

/** The field has 64 bits; a bundle's number may have more. */
function buildSequence(sequenceNumber: bigint | undefined): string {
  return String(BigInt.asUintN(64, sequenceNumber ?? 0n));
}
