import { askUnlessAllowed } from '../../authz/rbac/index.ts';
import type { Inbound } from './bootstrap-options.ts';
import { checkCluster } from './clusters.ts';
import { note, type TreeMap } from './commented-tree.ts';
import { tokenNamespace } from './token-filter.ts';

const HTTP = 'envoy.filters.http.ext_authz';
const service: TreeMap = { timeout: '0.2s', envoy_grpc: { cluster_name: checkCluster } };

/** Asks about each request that the rules in Envoy have not allowed. */
export function httpCheck({ hasRules, jwtProviders }: Inbound): TreeMap {
  return {
    name: HTTP,
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
      transport_api_version: 'V3',
      failure_mode_allow: note('Whatever goes wrong, nobody gets in.', false),
      status_on_error: note('Tells a failure from a refusal.', { code: 'ServiceUnavailable' }),
      clear_route_cache: note(
        'What callers send cannot choose another route after it was authorized.',
        false,
      ),
      validate_mutations: note('An answer with an impossible header is a failure.', true),
      include_peer_certificate: note(
        'The certificate itself, which is parsed again, and headers line by line.',
        true,
      ),
      encode_raw_headers: true,
      metadata_context_namespaces:
        jwtProviders.length === 0
          ? undefined
          : note('Claims of the verified token; nothing else can write them.', [tokenNamespace]),
      filter_enabled_metadata: hasRules ? unlessAllowed : undefined,
      grpc_service: service,
    },
  };
}

const unlessAllowed = note(
  'Nobody is asked about what the rules in Envoy allow for certain; about all else, also when they said nothing.',
  askUnlessAllowed.filter_enabled_metadata,
);

/** What a route says to the filter: by which policies it is judged. */
export function policyOfRoute(policyName: string): TreeMap {
  return {
    [HTTP]: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
      check_settings: { context_extensions: { 'trustplane.policy': policyName } },
    },
  };
}

/** Asks about a connection, once. */
export function connectionCheck(): TreeMap {
  return {
    name: 'envoy.filters.network.ext_authz',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz',
      stat_prefix: 'inbound',
      transport_api_version: 'V3',
      failure_mode_allow: note('Whatever goes wrong, nobody gets in.', false),
      include_peer_certificate: note('The certificate itself, which is parsed again.', true),
      grpc_service: service,
    },
  };
}
