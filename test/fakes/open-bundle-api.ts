import { onTestFinished } from 'vitest';
import { createBundleService } from '../../src/api/bundle-service.ts';
import { createTrustDomainService } from '../../src/api/trust-domain-service.ts';
import { createTrustMapSource, openOwnBundle } from '../../src/federation/index.ts';
import { silentLog } from '../../src/ops/index.ts';
import { openFederation } from './open-federation.ts';
import { openRegistry } from './open-registry.ts';
import { testTrustDomain } from './test-entries.ts';

/** The services for bundles and relationships over real registries on one memory store, until the test ends. */
export async function openBundleApi(log = silentLog, options: { isAgent?: boolean } = {}) {
  const federation = await openFederation({ log });
  const { clock, store } = federation;
  const { registry: entries } = await openRegistry({ clock, store });
  const bucket = store.bucket('authorities');
  const ownBundle = await openOwnBundle({ bucket, trustDomain: testTrustDomain, clock, log });
  onTestFinished(() => ownBundle.close());
  const { bundles: foreignBundles, relationships } = federation;
  const trustMap = createTrustMapSource({ ownBundle, foreignBundles, terms: relationships });
  const bundleService = createBundleService({
    trustMap,
    foreignBundles,
    ownBundle: ownBundle.publisherFor('administrator'),
    downstreamBundle: ownBundle.publisherFor('downstream'),
    authorization: { downstreamOf: () => undefined, isOfAgent: () => options.isAgent ?? false },
    onDownstream: () => {},
    caTtlMs: 86_400_000,
    entries,
    clock,
    log,
  });
  const refreshed: string[] = [];
  const trustDomainService = createTrustDomainService({
    trustDomain: testTrustDomain,
    relationships,
    foreignBundles,
    refresh: async (trustDomain) =>
      void refreshed.push(relationships.require(trustDomain).trustDomain.name),
    log,
  });
  return {
    ...federation,
    entries,
    ownBundle,
    trustMap,
    bundleService,
    trustDomainService,
    refreshed,
  };
}
