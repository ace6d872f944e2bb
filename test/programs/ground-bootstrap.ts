import path from 'node:path';
import { adminSocketOf } from './launch-envoy.ts';

/** How a listener of the ground is. Names are parts of socket names. */
export interface GroundListener {
  readonly name: string;
  /** Default SANITIZE. */
  readonly xfcc?: 'SANITIZE' | 'SANITIZE_SET' | 'FORWARD_ONLY' | 'APPEND_FORWARD';
  /** It asks; default. Otherwise it passes on to the listener of this name, as `gateway`. */
  readonly to?: string;
  /** Default true. */
  readonly rawHeaders?: boolean;
  /** Without TLS. */
  readonly isPlain?: boolean;
  /** It asks about connections, by the network filter. */
  readonly isTcp?: boolean;
  /** Of 127.0.0.1; default a socket. */
  readonly port?: number;
  readonly underscores?: 'ALLOW' | 'REJECT_REQUEST';
  /** It has a route for CONNECT too. */
  readonly isConnect?: boolean;
  /** Of the HTTP connection manager, beside the usual ones. */
  readonly manager?: object;
  /** Of the filter that asks, beside the usual ones. */
  readonly authz?: object;
  /** Of its routes, beside the usual ones. */
  readonly route?: object;
}

/** Of an Envoy whose sockets, certificates and keys are in `folder`. */
export function groundBootstrap(folder: string, listeners: readonly GroundListener[]): object {
  const asking = listeners.filter(({ to }) => to === undefined);
  const own = asking.map(({ name }) => name);
  const http2 = {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  return {
    admin: { address: { pipe: { path: adminSocketOf(folder, 'ground') } } },
    node: { id: 'ground', cluster: 'ground' },
    static_resources: {
      listeners: listeners.map((listener) => listenerOf(folder, listener)),
      clusters: [
        clusterOf('app', path.join(folder, 'app')),
        { ...clusterOf('authz', path.join(folder, 'authz')), ...http2 },
        ...own.map((name) => ({
          ...clusterOf(`to-${name}`, path.join(folder, `in-${name}`)),
          transport_socket: tls('UpstreamTlsContext', {
            common_tls_context: { tls_certificates: [certificateFiles(folder, 'gateway')] },
          }),
        })),
      ],
    },
  };
}

function clusterOf(name: string, socketPath: string): object {
  const endpoint = { address: { pipe: { path: socketPath } } };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '2s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] },
  };
}

function listenerOf(folder: string, listener: GroundListener): object {
  const { name, isPlain = false, isTcp = false, port } = listener;
  const filters = isTcp ? tcpFilters(listener) : [connectionManager(listener)];
  return {
    name,
    address:
      port === undefined
        ? { pipe: { path: path.join(folder, `in-${name}`) } }
        : { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ ...(isPlain ? {} : { transport_socket: downstreamTls(folder) }), filters }],
  };
}

const authzService = { timeout: '5s', envoy_grpc: { cluster_name: 'authz' } };

function connectionManager(listener: GroundListener): object {
  const { name, xfcc = 'SANITIZE', to, rawHeaders = true, underscores = 'ALLOW' } = listener;
  const router = filter('router', 'router.v3.Router', {});
  const authz = filter('ext_authz', 'ext_authz.v3.ExtAuthz', {
    transport_api_version: 'V3',
    failure_mode_allow: false,
    include_peer_certificate: true,
    encode_raw_headers: rawHeaders,
    validate_mutations: true,
    grpc_service: authzService,
    ...listener.authz,
  });
  const cluster = to === undefined ? 'app' : `to-${to}`;
  const routes = ['/', ...(listener.isConnect === true ? [undefined] : [])].map((prefix) => ({
    match: prefix === undefined ? { connect_matcher: {} } : { prefix },
    route: { cluster },
    ...listener.route,
  }));
  return networkFilter('http_connection_manager', {
    stat_prefix: name,
    forward_client_cert_details: xfcc,
    set_current_client_cert_details: { subject: true, uri: true, cert: to !== undefined },
    common_http_protocol_options: { headers_with_underscores_action: underscores },
    http_filters: to === undefined ? [authz, router] : [router],
    route_config: { virtual_hosts: [{ name, domains: ['*'], routes }] },
    ...listener.manager,
  });
}

function tcpFilters({ name, authz }: GroundListener): readonly object[] {
  return [
    networkFilter('ext_authz', {
      stat_prefix: name,
      transport_api_version: 'V3',
      failure_mode_allow: false,
      include_peer_certificate: true,
      include_tls_session: true,
      grpc_service: authzService,
      ...authz,
    }),
    networkFilter('tcp_proxy', { stat_prefix: name, cluster: 'app' }),
  ];
}

const networkTypes = {
  http_connection_manager: 'http_connection_manager.v3.HttpConnectionManager',
  ext_authz: 'ext_authz.v3.ExtAuthz',
  tcp_proxy: 'tcp_proxy.v3.TcpProxy',
} as const;

function networkFilter(name: keyof typeof networkTypes, more: object): object {
  const type = `type.googleapis.com/envoy.extensions.filters.network.${networkTypes[name]}`;
  return { name: `envoy.filters.network.${name}`, typed_config: { '@type': type, ...more } };
}

function filter(name: string, type: string, more: object): object {
  const typed = { '@type': `type.googleapis.com/envoy.extensions.filters.http.${type}`, ...more };
  return { name: `envoy.filters.http.${name}`, typed_config: typed };
}

/** Any certificate is let through, and none. */
function downstreamTls(folder: string): object {
  return tls('DownstreamTlsContext', {
    require_client_certificate: false,
    common_tls_context: {
      alpn_protocols: ['h2', 'http/1.1'],
      tls_certificates: [certificateFiles(folder, 'server')],
      validation_context: {
        trusted_ca: { filename: path.join(folder, 'ca.pem') },
        trust_chain_verification: 'ACCEPT_UNTRUSTED',
        allow_expired_certificate: true,
      },
    },
  });
}

function certificateFiles(folder: string, name: string): object {
  return {
    certificate_chain: { filename: path.join(folder, `${name}.pem`) },
    private_key: { filename: path.join(folder, `${name}.key`) },
  };
}

function tls(type: string, more: object): object {
  const typed = {
    '@type': `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${type}`,
    ...more,
  };
  return { name: 'envoy.transport_sockets.tls', typed_config: typed };
}
