import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeCertificate, type TestCertificate } from '../fakes/test-certificates.ts';
import { adminSocketOf, launchEnvoy } from '../programs/launch-envoy.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import type { CertificateShapes } from './certificate-shapes.ts';
import { startJudgedAuthz } from './judged-authz.ts';
import type { PolicyDocument } from './policy-document.ts';

const KEY = 'only to say what a test wants said';
const HOUR_MS = 3_600_000;
const TYPES = 'type.googleapis.com/envoy.extensions';

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
  const now = Date.now();
  const validity = { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };
  const makeTls = async (uri: string): Promise<Tls> => ({
    authority: encodePem('CERTIFICATE', authority.der),
    ...(await pemOf(await makeCertificate({ issuer: authority, uris: [uri], ...validity }))),
  });
  const identities = new Map(
    await Promise.all(
      [...shapes.of].map(async ([name, leaf]) => [name, await pemOf(leaf)] as const),
    ),
  );
  const listeners = await Promise.all(
    options.listeners.map(async (one) => listenerOf(one, await makeTls(one.service))),
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

/** A token that the proxy verifies, and whose claims it tells. */
export function tokenOf(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', kid: 'k' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`;
}

async function serveEcho(socket: string): Promise<Server> {
  const server = createServer((request, response) => {
    const body = JSON.stringify(request.rawHeaders);
    request.resume();
    response.setHeader('content-length', Buffer.byteLength(body));
    response.end(body);
  });
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return server;
}

async function pemOf({ der, keys }: TestCertificate): Promise<{ cert: string; key: string }> {
  const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    cert: encodePem('CERTIFICATE', der),
    key: encodePem('PRIVATE KEY', new Uint8Array(key)),
  };
}

interface Tls {
  readonly authority: string;
  readonly cert: string;
  readonly key: string;
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
      clusters: [
        cluster('application', path.join(folder, 'app.sock'), {}),
        cluster('authz', path.join(folder, 'authz.sock'), {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        }),
      ],
    },
  };
}

function transportSocket({ authority, cert, key }: Tls): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPES}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: false,
      common_tls_context: {
        alpn_protocols: ['http/1.1'],
        tls_certificates: [
          { certificate_chain: { inline_string: cert }, private_key: { inline_string: key } },
        ],
        validation_context: { trusted_ca: { inline_string: authority } },
      },
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

const jwtFilter = {
  name: 'envoy.filters.http.jwt_authn',
  typed_config: {
    '@type': `${TYPES}.filters.http.jwt_authn.v3.JwtAuthentication`,
    providers: {
      test: {
        local_jwks: {
          inline_string: JSON.stringify({
            keys: [
              { kty: 'oct', kid: 'k', alg: 'HS256', k: Buffer.from(KEY).toString('base64url') },
            ],
          }),
        },
        from_headers: [{ name: 'x-token' }],
        payload_in_metadata: 'jwt_payload',
      },
    },
    rules: [
      {
        match: { prefix: '/' },
        requires: {
          requires_any: { requirements: [{ provider_name: 'test' }, { allow_missing: {} }] },
        },
      },
    ],
  },
};

const authzService = { timeout: '10s', envoy_grpc: { cluster_name: 'authz' } };

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

function authzFilter({ isRaw = false, isAwaiting = false }: JudgedListener): object {
  return {
    name: 'envoy.filters.http.ext_authz',
    typed_config: {
      '@type': `${TYPES}.filters.http.ext_authz.v3.ExtAuthz`,
      transport_api_version: 'V3',
      failure_mode_allow: false,
      status_on_error: { code: 'ServiceUnavailable' },
      include_peer_certificate: true,
      encode_raw_headers: isRaw,
      validate_mutations: true,
      metadata_context_namespaces: ['envoy.filters.http.jwt_authn'],
      ...(isAwaiting && {
        with_request_body: { max_request_bytes: 1, allow_partial_message: true },
      }),
      grpc_service: authzService,
    },
  };
}

const routerFilter = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${TYPES}.filters.http.router.v3.Router` },
};

function cluster(name: string, socket: string, more: object): object {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    ...more,
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
    },
  };
}
