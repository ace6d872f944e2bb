import { accessLogOf } from './access-log.ts';
import type { BootstrapOptions, Inbound, Outbound } from './bootstrap-options.ts';
import { connectionCheck, httpCheck, policyOfRoute } from './check-filter.ts';
import { applicationCluster, serverCluster } from './clusters.ts';
import { note, type Shared, type Tree, type TreeMap } from './commented-tree.ts';
import { addressOf } from './place.ts';
import { attributesOf, rulesFilter } from './rules-filter.ts';
import { callerTls } from './tls-context.ts';
import { tokenFilter } from './token-filter.ts';

const BUFFER_BYTES = 32_768;

export function listenersOf(options: BootstrapOptions, source: Shared): Tree {
  const { inbound, outbound } = options;
  return [
    ...(inbound === undefined ? [] : [inboundListener(options, inbound, source)]),
    ...(outbound === undefined ? [] : [outboundListener(options, outbound)]),
  ];
}

function inboundListener(options: BootstrapOptions, inbound: Inbound, source: Shared): TreeMap {
  return {
    name: 'inbound',
    address: addressOf(inbound.listen),
    per_connection_buffer_limit_bytes: note(
      'What one caller may make this Envoy hold in memory.',
      BUFFER_BYTES,
    ),
    filter_chains: [
      {
        transport_socket_connect_timeout: note(
          'A caller that connects and never shakes hands goes away.',
          '10s',
        ),
        transport_socket: callerTls(options, inbound, source),
        filters: options.isTcp
          ? connectionFilters(options, inbound, source)
          : [
              ...(inbound.hasRules ? [attributesOf('source')] : []),
              inboundManager(options, inbound, source),
            ],
      },
    ],
  };
}

function connectionFilters(options: BootstrapOptions, inbound: Inbound, source: Shared): Tree {
  const { hasRules, check } = inbound;
  const isDecidedHere = hasRules || check !== undefined;
  return [
    ...(hasRules ? [attributesOf('connection'), rulesFilter(options, inbound, source)] : []),
    ...(check === undefined ? [] : [connectionCheck()]),
    tcpProxy('inbound', applicationCluster, {
      ...(isDecidedHere && {
        upstream_connect_mode: note(
          'A connection is decided about when its first bytes come. Without this line the application is connected before that, and what it says first reaches callers who are then denied.',
          'ON_DOWNSTREAM_DATA',
        ),
        max_early_data_bytes: BUFFER_BYTES,
      }),
      access_log: accessLogOf(options),
      max_downstream_connection_duration: note(
        'Certificates are verified, and rules asked, once for a connection. This bounds how long one goes on after its caller was revoked or the policy was edited: at most the lifetime of the SVIDs.',
        `${options.maxConnectionSeconds}s`,
      ),
    }),
  ];
}

function tcpProxy(name: string, cluster: string, more: TreeMap): TreeMap {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
      stat_prefix: name,
      cluster,
      idle_timeout: '900s',
      ...more,
    },
  };
}

function inboundManager(options: BootstrapOptions, inbound: Inbound, source: Shared): TreeMap {
  const { hasRules, check, jwtProviders, policyName } = inbound;
  const isAuthorized = hasRules || check !== undefined;
  const routePolicy = check === undefined ? undefined : policyName;
  return manager('inbound', {
    access_log: accessLogOf(options),
    ...(isAuthorized
      ? {
          forward_client_cert_details: note(
            'Nobody forwards a certificate of somebody else: who calls is who connects.',
            'SANITIZE',
          ),
        }
      : {
          forward_client_cert_details: note(
            'The application learns who calls from x-forwarded-client-cert, which nobody but this Envoy can set.',
            'SANITIZE_SET',
          ),
          set_current_client_cert_details: { uri: true },
        }),
    use_remote_address: note(
      'The address of a caller is that of the connection; what it says itself in headers is removed.',
      true,
    ),
    strip_any_host_port: note(
      'One spelling of a host and of a path, so that the application and the rules see the same one.',
      true,
    ),
    strip_trailing_host_dot: true,
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'REJECT_REQUEST',
    request_headers_timeout: note('A caller that goes silent goes away.', '10s'),
    stream_idle_timeout: '300s',
    common_http_protocol_options: {
      idle_timeout: '900s',
      headers_with_underscores_action: note(
        'Some applications take x_user for x-user.',
        'REJECT_REQUEST',
      ),
      max_connection_duration: note(
        "Certificates are verified when a connection begins. This bounds how long one may live on after the caller's SVID expired: at most the lifetime of the SVIDs.",
        `${options.maxConnectionSeconds}s`,
      ),
    },
    http2_protocol_options: {
      max_concurrent_streams: note('The same for HTTP/2, whose own defaults are generous.', 100),
      initial_stream_window_size: 65_536,
      initial_connection_window_size: 1_048_576,
    },
    http_filters: [
      ...(jwtProviders.length === 0 ? [] : [tokenFilter(jwtProviders)]),
      ...(hasRules
        ? [
            note('What the rules go by, so it stands before them.', attributesOf('request')),
            rulesFilter(options, inbound, source),
          ]
        : []),
      ...(check === undefined ? [] : [httpCheck(inbound)]),
      router,
    ],
    route_config: routes('inbound', applicationCluster, routePolicy),
  });
}

function outboundListener(
  { isTcp, maxConnectionSeconds }: BootstrapOptions,
  { listen }: Outbound,
): TreeMap {
  const filter = isTcp
    ? tcpProxy('outbound', serverCluster, {
        max_downstream_connection_duration: note(
          "A connection keeps the SVID it began with: end it before the server's limit does, at half the lifetime of the SVIDs.",
          `${maxConnectionSeconds / 2}s`,
        ),
      })
    : manager('outbound', {
        request_headers_timeout: '10s',
        stream_idle_timeout: '300s',
        http_filters: [router],
        route_config: routes('outbound', serverCluster, undefined),
      });
  return {
    name: 'outbound',
    address: note(
      "Whoever reaches this address speaks with this Envoy's identity: loopback or a Unix socket.",
      addressOf(listen),
    ),
    per_connection_buffer_limit_bytes: BUFFER_BYTES,
    filter_chains: [{ filters: [filter] }],
  };
}

function manager(name: string, more: TreeMap): TreeMap {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type':
        'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: name,
      ...more,
    },
  };
}

const router: TreeMap = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
};

function routes(name: string, cluster: string, policyName: string | undefined): TreeMap {
  return {
    name,
    virtual_hosts: [
      {
        name: cluster,
        domains: ['*'],
        routes: [{ match: { prefix: '/' }, route: { cluster, timeout: '60s' } }],
        typed_per_filter_config:
          policyName === undefined
            ? undefined
            : note('By which policies Check judges requests here.', policyOfRoute(policyName)),
      },
    ],
  };
}
