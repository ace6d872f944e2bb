/** Speaks Envoy's extension discovery (ECDS): which configuration each Envoy's filters get, by name. */
export type {
  ExtensionClient,
  ExtensionConfig,
  ExtensionSource,
  ExtensionView,
} from './extension-source.ts';
export { createEcds, createExtensionType, type ExtensionOptions } from './extension-type.ts';
export { type ExtensionKind, parseResourceName, type ResourceName } from './resource-name.ts';
