import {
  type Bundle,
  checkBundle,
  messageOf,
  type TokenAuthority,
  TrustDomain,
} from '../spiffe/index.ts';
import { readSpireList, type SpireBundle, spireBundle } from './spire-json.ts';

/** The bundles, and what is not taken over, each with why. */
export interface SpireBundles {
  readonly bundles: readonly Bundle[];
  readonly left: readonly string[];
}

/** The federated bundles out of `spire-server bundle list -output json`. @throws TrustplaneError ERR_IMPORT */
export function parseSpireBundles(text: string, name: string, own: TrustDomain): SpireBundles {
  return readBundles(readSpireList(text, 'bundles', spireBundle, name), name, own);
}

export function readBundles(
  read: readonly SpireBundle[],
  name: string,
  own: TrustDomain,
): SpireBundles {
  const bundles: Bundle[] = [];
  const left: string[] = [];
  for (const one of read) {
    try {
      const bundle = bundleOf(one);
      if (bundle.trustDomain.equals(own)) throw new Error('it is the own one');
      checkBundle(bundle);
      bundles.push(bundle);
    } catch (error) {
      left.push(`${name}: the bundle of ${one.trust_domain}: ${messageOf(error)}`);
    }
  }
  return { bundles, left };
}

function bundleOf(read: SpireBundle): Bundle {
  return {
    trustDomain: TrustDomain.parse(read.trust_domain),
    x509Authorities: (read.x509_authorities ?? []).map(({ asn1, tainted = false }) => ({
      certificate: Buffer.from(asn1, 'base64'),
      tainted,
    })),
    jwtAuthorities: (read.jwt_authorities ?? []).map(tokenAuthorityOf),
    witAuthorities: (read.wit_authorities ?? []).map(tokenAuthorityOf),
    sequenceNumber: BigInt(read.sequence_number ?? '0'),
    refreshHintSeconds: Number(read.refresh_hint ?? 0) || undefined,
  };
}

function tokenAuthorityOf({
  key_id: keyId,
  public_key,
  expires_at = '0',
  tainted = false,
}: NonNullable<SpireBundle['jwt_authorities']>[number]): TokenAuthority {
  const expiresAt = Number(expires_at) * 1_000 || undefined;
  return { keyId, publicKey: Buffer.from(public_key, 'base64'), expiresAt, tainted };
}
