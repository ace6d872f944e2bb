import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeCertificate, type TestCertificate } from '../fakes/test-certificates.ts';

const KEY = 'only to say what a test wants said';
const HOUR_MS = 3_600_000;
export const TYPES = 'type.googleapis.com/envoy.extensions';

/** A token that the proxy verifies, and whose claims it tells. */
export function tokenOf(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', kid: 'k' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`;
}

/** Answers with the headers that reached it, or sends on to what `x-elsewhere` says. */
export async function serveEcho(socket: string): Promise<Server> {
  const server = createServer((request, response) => {
    const body = JSON.stringify(request.rawHeaders);
    request.resume();
    const { 'x-elsewhere': elsewhere } = request.headers;
    if (typeof elsewhere === 'string' && !elsewhere.endsWith(request.url ?? ''))
      response.setHeader('location', elsewhere).statusCode = 302;
    response.setHeader('content-length', Buffer.byteLength(body));
    response.end(body);
  });
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return server;
}

export async function pemOf({
  der,
  keys,
}: TestCertificate): Promise<{ cert: string; key: string }> {
  const key = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    cert: encodePem('CERTIFICATE', der),
    key: encodePem('PRIVATE KEY', new Uint8Array(key)),
  };
}

export interface Tls {
  readonly authority: string;
  readonly cert: string;
  readonly key: string;
}

/** Of a server of this ID that asks for certificates of callers. */
export async function makeTls(authority: TestCertificate, uri: string): Promise<Tls> {
  const now = Date.now();
  const validity = { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };
  return {
    authority: encodePem('CERTIFICATE', authority.der),
    ...(await pemOf(await makeCertificate({ issuer: authority, uris: [uri], ...validity }))),
  };
}

export function transportSocket(
  { authority, cert, key }: Tls,
  protocols: readonly string[] = ['http/1.1'],
): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TYPES}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: false,
      common_tls_context: {
        alpn_protocols: protocols,
        tls_certificates: [
          { certificate_chain: { inline_string: cert }, private_key: { inline_string: key } },
        ],
        validation_context: { trusted_ca: { inline_string: authority } },
      },
    },
  };
}

export const jwtFilter = {
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

export const authzService = { timeout: '10s', envoy_grpc: { cluster_name: 'authz' } };

export function authzFilter({
  isRaw = false,
  isAwaiting = false,
}: {
  readonly isRaw?: boolean;
  readonly isAwaiting?: boolean;
}): { readonly name: string; readonly typed_config: object } {
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

export const routerFilter = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${TYPES}.filters.http.router.v3.Router` },
};

export function cluster(name: string, socket: string, more: object): object {
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

/** The application, and our server that is asked. */
export function judgedClusters(folder: string): readonly object[] {
  return [
    cluster('application', path.join(folder, 'app.sock'), {}),
    cluster('authz', path.join(folder, 'authz.sock'), http2Options),
  ];
}

export const http2Options = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};
