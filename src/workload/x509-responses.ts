import type { Bundle } from '../spiffe/index.ts';
import { oncePerUpdate, type UpdateEncoder } from './update-encoder.ts';

/** FetchX509SVID's message (Workload API §5.2.1); encoded once per update. */
export function createX509SvidEncoder(): UpdateEncoder {
  return oncePerUpdate('X509SVIDResponse', {
    build: ({ identities, bundle, crls = [] }) => ({
      crl: crls,
      svids: identities.map(({ spiffeId, certificateChain, privateKey, hint }) => ({
        spiffe_id: spiffeId.toString(),
        x509_svid: Buffer.concat(certificateChain),
        x509_svid_key: privateKey,
        bundle: authoritiesOf(bundle),
        ...(hint === '' ? {} : { hint }),
      })),
    }),
    mapField: 'federated_bundles',
    bundlesOf: ({ federatedBundles }) => federatedBundles.values(),
    valueOf: foreignAuthorities,
  });
}

/** FetchX509Bundles' message (Workload API §5.2.2): the own trust domain and the federated ones. */
export function createX509BundlesEncoder(): UpdateEncoder {
  return oncePerUpdate('X509BundlesResponse', {
    build: ({ bundle, crls = [] }) => ({
      crl: crls,
      bundles: { [bundle.trustDomain.id]: authoritiesOf(bundle) },
    }),
    mapField: 'bundles',
    bundlesOf: ({ federatedBundles }) => federatedBundles.values(),
    valueOf: foreignAuthorities,
  });
}

/** A trust domain without X.509 authorities is left out: clients take an empty value for a malformed one. */
function foreignAuthorities(bundle: Bundle): Buffer | undefined {
  return bundle.x509Authorities.length > 0 ? authoritiesOf(bundle) : undefined;
}

function authoritiesOf(bundle: Bundle): Buffer {
  return Buffer.concat(bundle.x509Authorities.map(({ certificate }) => certificate));
}
