import { loadDiscoveryMessages, type Resource, sealResource } from '../xds/index.ts';
import type { ExtensionConfig } from './extension-source.ts';
import type { ResourceName } from './resource-name.ts';

export const EXTENSION_TYPE_URL: string =
  'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';

/** Encodes configurations, each once, however many streams it is sent to. */
export type ExtensionEncoder = (name: ResourceName, config: ExtensionConfig) => Resource;

export function createExtensionEncoder(): ExtensionEncoder {
  const messages = loadDiscoveryMessages();
  const known = new WeakMap<ExtensionConfig, Resource>();
  return ({ kind }, config) => {
    const sealed = known.get(config);
    if (sealed !== undefined) return sealed;
    const { name, version, bytes, ttlMs } = config;
    const value = { parts: [bytes], bytes: bytes.length };
    const ref = { name, kind, version, isReducible: false, ttlMs };
    const made = sealResource(messages, EXTENSION_TYPE_URL, value, ref);
    known.set(config, made);
    return made;
  };
}
