import type { Bundle } from '../spiffe/index.ts';
import { oncePerUpdate, type UpdateEncoder } from './update-encoder.ts';

/** FetchX509SVID's message (Workload API §5.2.1); encoded once per update. */
export function createX509SvidEncoder(): UpdateEncoder {
  return oncePerUpdate('X509SVIDResponse', ({ identities, bundle, federatedBundles }) => ({
    svids: identities.map(({ spiffeId, certificateChain, privateKey, hint }) => ({
      spiffe_id: spiffeId.toString(),
      x509_svid: Buffer.concat(certificateChain),
      x509_svid_key: privateKey,
      bundle: authoritiesOf(bundle),
      ...(hint === '' ? {} : { hint }),
    })),
    federated_bundles: bundleMap(federatedBundles.values()),
  }));
}

/** FetchX509Bundles' message (Workload API §5.2.2): the own trust domain and the federated ones. */
export function createX509BundlesEncoder(): UpdateEncoder {
  return oncePerUpdate('X509BundlesResponse', ({ bundle, federatedBundles }) => ({
    bundles: {
      [bundle.trustDomain.id]: authoritiesOf(bundle),
      ...bundleMap(federatedBundles.values()),
    },
  }));
}

/** A trust domain without X.509 authorities is left out: clients take an empty value for a malformed one. */
function bundleMap(bundles: Iterable<Bundle>): Record<string, Buffer> {
  const map: Record<string, Buffer> = {};
  for (const bundle of bundles) {
    if (bundle.x509Authorities.length > 0) map[bundle.trustDomain.id] = authoritiesOf(bundle);
  }
  return map;
}

function authoritiesOf(bundle: Bundle): Buffer {
  return Buffer.concat(bundle.x509Authorities.map(({ certificate }) => certificate));
}
