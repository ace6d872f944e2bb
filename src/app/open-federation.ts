import { type ForeignBundles, loadFederation, type Relationships } from '../federation/index.ts';
import type { Store } from '../store/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';

/** What a server knows of foreign trust domains. */
export interface Federation {
  readonly foreignBundles: ForeignBundles;
  readonly relationships: Relationships;
}

/** Opens the registries; closed with `process`. @throws TrustplaneError ERR_STORE_* */
export async function openFederation(
  { trustDomain }: Config,
  { clock, log, metrics, closing }: Process,
  store: Store,
): Promise<Federation> {
  const options = { bucket: store.bucket('federation'), trustDomain, clock, log, metrics };
  const loaded = await loadFederation(options);
  closing.defer(() => loaded.close());
  return { foreignBundles: loaded.foreignBundles, relationships: loaded.relationships };
}
