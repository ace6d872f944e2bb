import {
  type Bundle,
  SpiffeId,
  TrustDomain,
  type WorkloadUpdate,
  type X509Identity,
} from '../../src/spiffe/index.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

/**
 * An identity of `spiffe://a.test<path>`; `serial` tells one issuance from the next. Its certificate
 * and key are text, not DER: for code that carries them and does not look inside.
 */
export function textIdentity(
  path: string,
  serial: number = 1,
  more: Partial<X509Identity> = {},
): X509Identity {
  return {
    entryId: path,
    spiffeId: SpiffeId.parse(`spiffe://a.test${path}`),
    hint: '',
    certificateChain: [Buffer.from(`leaf ${path} ${serial}`), Buffer.from('intermediate')],
    privateKey: Buffer.from(`key ${path} ${serial}`),
    notBefore: NOW,
    expiresAt: NOW + 3_600_000,
    federatesWith: [],
    ...more,
  };
}

/** A bundle whose authorities are the given texts. */
export function textBundle(trustDomain: string, authorities: readonly string[]): Bundle {
  return {
    trustDomain: TrustDomain.parse(trustDomain),
    x509Authorities: authorities.map((text) => ({
      certificate: Buffer.from(text),
      tainted: false,
    })),
    jwtAuthorities: [],
    witAuthorities: [],
    sequenceNumber: undefined,
    refreshHintSeconds: undefined,
  };
}

let updates = 0;

/** An update of a.test with the given parts; the first bundle is the own one. */
export function textUpdate(
  identities: readonly X509Identity[],
  bundles: readonly Bundle[] = [textBundle('a.test', ['ca a'])],
  accept: WorkloadUpdate['accept'] = new Map(),
): WorkloadUpdate {
  const [bundle = textBundle('a.test', []), ...federated] = bundles;
  return {
    version: String(++updates),
    identities,
    bundle,
    federatedBundles: new Map(federated.map((other) => [other.trustDomain.name, other])),
    accept,
  };
}
