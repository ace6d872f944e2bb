import type { Log } from '../ops/index.ts';
import { type Bundle, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { endRelationship } from './end-relationship.ts';
import type { ForeignBundles } from './foreign-bundles.ts';
import type { FederationRelationship } from './relationship.ts';
import type { Relationships } from './relationships.ts';

/** What the configuration says of one foreign trust domain. */
export interface ConfiguredRelationship {
  readonly relationship: FederationRelationship;
  /** To begin with. */
  readonly bundle: Bundle | undefined;
}

/**
 * Makes the relationships of source `config` those that are configured; others are left alone unless one
 * of the same trust domain is configured, which then is the configuration's. Those that are configured
 * no longer end with their bundles.
 * @throws TrustplaneError ERR_FEDERATION_*, ERR_BUNDLE*, ERR_STORE_*
 */
export async function keepConfigured(
  {
    relationships,
    foreignBundles,
    log,
  }: {
    readonly relationships: Pick<Relationships, 'all' | 'get' | 'set' | 'delete'>;
    readonly foreignBundles: Pick<ForeignBundles, 'get' | 'set' | 'delete'>;
    readonly log: Log;
  },
  configured: readonly ConfiguredRelationship[],
): Promise<void> {
  const names = new Set(configured.map(({ relationship }) => relationship.trustDomain.name));
  for (const { trustDomain, source } of relationships.all()) {
    if (source !== 'config' || names.has(trustDomain.name)) continue;
    await endUnlessEnded({ relationships, foreignBundles }, trustDomain);
    const fields = { trustDomain: trustDomain.name };
    log.info(fields, 'federation relationship left the configuration and ended with its bundle');
  }
  for (const { relationship, bundle } of configured) {
    const { trustDomain } = relationship;
    if (relationships.get(trustDomain)?.source === 'api') {
      const fields = { trustDomain: trustDomain.name };
      log.warn(fields, 'a federation relationship is kept by the configuration from now on');
    }
    // Without its terms a bundle would be trusted whole; else it comes first, for who fetches the next.
    const isScoped = relationship.accept.length > 0;
    if (isScoped) await relationships.set(relationship);
    const isNews = bundle !== undefined && isNewer(bundle, foreignBundles.get(trustDomain));
    if (isNews) await foreignBundles.set(bundle);
    if (!isScoped) await relationships.set(relationship);
  }
}

/** Another server may read the same configuration at the same time. */
async function endUnlessEnded(
  registries: Parameters<typeof endRelationship>[0],
  trustDomain: TrustDomain,
): Promise<void> {
  await endRelationship(registries, trustDomain).catch((error: unknown) => {
    const isEnded = error instanceof TrustplaneError && error.code === 'ERR_RELATIONSHIP_NOT_FOUND';
    if (!isEnded) throw error;
  });
}

/** What is in a file is for the beginning (SPIFFE Federation §5.2.2.2); later it counts when it is newer for certain. */
function isNewer(bundle: Bundle, known: Bundle | undefined): boolean {
  if (known === undefined) return true;
  const { sequenceNumber } = bundle;
  if (sequenceNumber === undefined || known.sequenceNumber === undefined) return false;
  return sequenceNumber > known.sequenceNumber;
}
