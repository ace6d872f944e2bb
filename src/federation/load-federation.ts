import type { DomainRecordsOptions } from './domain-records.ts';
import { FederationFeed } from './federation-feed.ts';
import { ForeignBundles } from './foreign-bundles.ts';
import { Relationships } from './relationships.ts';

/** What is known of foreign trust domains, each part as new as the other. */
export interface LoadedFederation {
  readonly relationships: Relationships;
  readonly foreignBundles: ForeignBundles;
  close(): Promise<void>;
}

/** Reads both and follows their changes until `close`. @throws TrustplaneError ERR_STORE_* */
export async function loadFederation(options: DomainRecordsOptions): Promise<LoadedFederation> {
  const feed = new FederationFeed(options);
  const relationships = Relationships.attach(options, feed);
  const foreignBundles = ForeignBundles.attach(options, feed);
  await feed.open();
  return { relationships, foreignBundles, close: async () => await feed.close() };
}
