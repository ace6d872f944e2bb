import path from 'node:path';
import { adminSocketOf, launchEnvoy } from '../programs/launch-envoy.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import type { CertificateShapes } from './certificate-shapes.ts';
import { startJudgedAuthz } from './judged-authz.ts';
import {
  authzFilter,
  authzService,
  judgedClusters,
  jwtFilter,
  makeTls,
  pemOf,
  routerFilter,
  serveEcho,
  type Tls,
  TYPES,
  transportSocket,
} from './judged-parts.ts';
import type { PolicyDocument } from './policy-document.ts';

/** An Envoy that asks our server about each request, and an application that says what reached it. */
export interface JudgedEnvoy extends AsyncDisposable {
  identityOf(as: string): { readonly cert: string; readonly key: string } | undefined;
}

/** Where somebody calls. */
export interface JudgedListener {
  readonly port: number;
  /** The SPIFFE ID of its certificate. */
  readonly service: string;
  /** Context extensions, each of the requests with that `x-case`; none: of all requests alike. */
  readonly cases: readonly string[];
  /** It asks about connections. */
  readonly isTcp?: boolean;
  /** It gives headers line by line, and not joined. */
  readonly isRaw?: boolean;
  /** It waits for bodies, and its routes say so. */
  readonly isAwaiting?: boolean;
}

export interface JudgedEnvoyOptions {
  readonly listeners: readonly JudgedListener[];
  readonly documents: readonly PolicyDocument[];
  readonly shapes: CertificateShapes;
}

export async function launchJudgedEnvoy(options: JudgedEnvoyOptions): Promise<JudgedEnvoy> {
  const { documents, shapes } = options;
  const stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const application = await serveEcho(path.join(folder.path, 'app.sock'));
  stack.defer(() => {
    application.close();
    application.closeAllConnections();
  });
  stack.use(await startJudgedAuthz(folder.path, shapes, documents));
  const { authority } = shapes;
  const identities = new Map(
    await Promise.all(
      [...shapes.of].map(async ([name, leaf]) => [name, await pemOf(leaf)] as const),
    ),
  );
  const listeners = await Promise.all(
    options.listeners.map(async (one) => listenerOf(one, await makeTls(authority, one.service))),
  );
  const bootstrap = bootstrapOf(folder.path, listeners);
  const envoy = await launchEnvoy({
    folder: folder.path,
    name: 'judged',
    bootstrap: JSON.stringify(bootstrap),
  });
  stack.defer(async () => await envoy.stop());
  await envoy.waitReady();
  return {
    identityOf: (as) => identities.get(as),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

function listenerOf(listener: JudgedListener, tls: Tls): object {
  const { port, isTcp = false } = listener;
  const filters = isTcp ? tcpFilters : [connectionManager(listener)];
  return {
    name: `inbound-${port}`,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ transport_socket: transportSocket(tls), filters }],
  };
}

function bootstrapOf(folder: string, listeners: readonly object[]): object {
  return {
    admin: { address: { pipe: { path: adminSocketOf(folder, 'judged') } } },
    static_resources: {
      listeners,
      clusters: judgedClusters(folder),
    },
  };
}

/** Nothing is normalized on the way: what is asked is what was sent. */
function connectionManager(listener: JudgedListener): object {
  const { cases } = listener;
  const routes =
    cases.length === 0
      ? [{ match: { prefix: '/' }, route: { cluster: 'application' } }]
      : cases.map((name) => routeOf(name, listener));
  const said = (name: string): object => ({
    header: {
      key: `x-said-${name}`,
      value: `%DYNAMIC_METADATA(envoy.filters.http.ext_authz:${name})%`,
    },
    append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  });
  const told = ['reason', 'policy', 'rule', 'policy_digest'].map(said);
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: 'inbound',
      codec_type: 'HTTP1',
      use_remote_address: true,
      // Whoever is listed is believed, and nobody else: that is not for the proxy to say.
      forward_client_cert_details: 'FORWARD_ONLY',
      local_reply_config: {
        mappers: [{ filter: { not_health_check_filter: {} }, headers_to_add: told }],
      },
      http_filters: [jwtFilter, authzFilter(listener), routerFilter],
      route_config: {
        response_headers_to_add: told,
        virtual_hosts: [{ name: 'all', domains: ['*'], routes }],
      },
    },
  };
}

function routeOf(name: string, { isAwaiting = false }: JudgedListener): object {
  const body = isAwaiting ? { 'trustplane.body': 'buffered' } : {};
  return {
    match: {
      prefix: '/',
      headers: [{ name: 'x-case', string_match: { exact: name } }],
    },
    route: { cluster: 'application' },
    typed_per_filter_config: {
      'envoy.filters.http.ext_authz': {
        '@type': `${TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute`,
        check_settings: { context_extensions: { 'trustplane.policy': name, ...body } },
      },
    },
  };
}

const tcpFilters = [
  {
    name: 'envoy.filters.network.ext_authz',
    typed_config: {
      '@type': `${TYPES}.filters.network.ext_authz.v3.ExtAuthz`,
      stat_prefix: 'inbound',
      transport_api_version: 'V3',
      failure_mode_allow: false,
      include_peer_certificate: true,
      grpc_service: authzService,
    },
  },
  {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: {
      '@type': `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`,
      stat_prefix: 'inbound',
      cluster: 'application',
    },
  },
];
