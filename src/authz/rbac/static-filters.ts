import { rbacJson } from './rbac-json.ts';
import { type RbacMessage, rbacMessage } from './rbac-message.ts';
import type { CompiledRbac } from './rbac-options.ts';

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

/** Filters that run the rules, in their order, for a configuration of Envoy that is written by hand. */
export function staticFilters(mode: RbacMode, name: string, message: RbacMessage): object[] {
  const rules = { name, typed_config: rbacJson(message) };
  return mode === 'network' ? [rules] : [attributesFilter, rules];
}

/** What ext_authz behind the rules has beside its own: it asks unless Envoy's own rules allow for certain. */
export const askUnlessAllowed: object = {
  filter_enabled_metadata: {
    filter: 'envoy.filters.http.rbac',
    path: [{ key: 'tp_alone_shadow_engine_result' }],
    value: { string_match: { exact: 'allowed' } },
    invert: true,
  },
};

/** Without `:PATH` Envoy takes x-envoy-original-path, which callers may send. */
const attributesFilter = {
  name: 'tp-attrs',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config',
    on_request_headers: [
      state('tp.path', '%PATH(NQ:PATH)%'),
      state('tp.serial', '%DOWNSTREAM_PEER_SERIAL%'),
    ],
  },
};

function state(key: string, format: string): object {
  return {
    object_key: key,
    factory_key: 'envoy.string',
    format_string: { text_format_source: { inline_string: format } },
  };
}
