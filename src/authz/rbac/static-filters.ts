import { attributeFilter, type StateEntry } from './attribute-filters.ts';
import { rbacJson } from './rbac-json.ts';
import { type RbacMessage, rbacMessage } from './rbac-message.ts';
import type { CompiledRbac } from './rbac-options.ts';
import { typeUrls } from './type-urls.ts';

/** How the rules of a service run in Envoy. */
export type RbacMode = 'alone' | 'before-check' | 'network';

/** The message of a mode, as it is delivered too. */
export function messageFor(
  mode: RbacMode,
  { alone, beforeCheck, draft }: CompiledRbac,
  perRuleStats: boolean,
): RbacMessage {
  const target = mode === 'network' ? 'network' : 'http';
  const parts =
    mode === 'before-check'
      ? { matcher: beforeCheck, shadow: alone, shadowStatPrefix: 'tp_alone_' }
      : { matcher: alone, shadow: draft };
  return rbacMessage({ target, perRuleStats, ...parts });
}

/**
 * Filters that run the rules, in their order, for a configuration of Envoy that is written by hand.
 * `hasState`: the Envoy can tell the serial number of a connection.
 */
export function staticFilters(
  mode: RbacMode,
  name: string,
  message: RbacMessage,
  hasState = true,
): object[] {
  return [...attributesOf(mode, hasState), { name, typed_config: rbacJson(message) }];
}

/** The same where the rules are a file, which is replaced while Envoy runs; without one everybody is denied. */
export function discoverFilters(
  mode: RbacMode,
  name: string,
  file: string,
  hasState = true,
): object[] {
  const isNetwork = mode === 'network';
  const type = typeUrls[isNetwork ? 'network' : 'http'];
  const denyAll = { '@type': type, ...(isNetwork && { stat_prefix: 'tp_' }), rules: {} };
  const discovery = {
    type_urls: [type],
    default_config: denyAll,
    apply_default_config_without_warming: true,
    config_source: { resource_api_version: 'V3', path_config_source: { path: file } },
  };
  return [...attributesOf(mode, hasState), { name, config_discovery: discovery }];
}

function attributesOf(mode: RbacMode, hasState: boolean): object[] {
  if (mode !== 'network') return [attributeFilter('request', plain)];
  return hasState ? [attributeFilter('connection', plain)] : [];
}

/** What ext_authz behind the rules has beside its own: it asks unless Envoy's own rules allow for certain. */
export const askUnlessAllowed = {
  filter_enabled_metadata: {
    filter: 'envoy.filters.http.rbac',
    path: [{ key: 'tp_alone_shadow_engine_result' }],
    value: { string_match: { exact: 'allowed' } },
    invert: true,
  },
} as const;

/** Tells rules of requests where these come from; it stands before the manager of HTTP. */
export const sourceOfConnection: object = attributeFilter('source', plain);

function plain(entry: StateEntry): object {
  return entry;
}
