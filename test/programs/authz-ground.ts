import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import path from 'node:path';
import { connect } from 'node:tls';
import { compilePlan, type Policy } from '../../src/authz/index.ts';
import type { AssertionSigner } from '../../src/check/assertion-signer.ts';
import { CallerReader, type CallerReaderOptions } from '../../src/check/caller-reader.ts';
import { CheckHandler, type CheckRecord } from '../../src/check/check-handler.ts';
import { createMetrics, silentLog, systemClock } from '../../src/ops/index.ts';
import { encodePem } from '../../src/spiffe/index.ts';
import { serveUnix } from '../../src/wire/index.ts';
import { FakeRevocations } from '../fakes/fake-revocations.ts';
import { FakeTrustMap } from '../fakes/fake-trust-map.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
} from '../fakes/test-certificates.ts';
import { adminSocketOf, launchEnvoy } from './launch-envoy.ts';
import { createRunFolder } from './run-folder.ts';

const HOUR_MS = 3_600_000;
const CHECK = '/envoy.service.auth.v3.Authorization/Check';
export const SERVICE = 'spiffe://prod.example/api';

/** How a listener of the ground is. Names are parts of socket names. */
export interface GroundListener {
  readonly name: string;
  readonly xfcc: 'SANITIZE' | 'SANITIZE_SET' | 'FORWARD_ONLY' | 'APPEND_FORWARD';
  /** It asks; default. Otherwise it passes on to the listener of this name, as `gateway`. */
  readonly to?: string;
  /** Default true. */
  readonly rawHeaders?: boolean;
  /** Without TLS. */
  readonly isPlain?: boolean;
  /** Of the HTTP connection manager, beside the usual ones. */
  readonly underscores?: 'ALLOW' | 'REJECT_REQUEST';
}

export interface GroundOptions
  extends Partial<Pick<CallerReaderOptions, 'needsCertificate' | 'jwtSvid' | 'xfcc'>> {
  readonly listeners: readonly GroundListener[];
  readonly assertions?: AssertionSigner;
}

export interface GroundAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** What the application saw, name and value by turns; undefined: it was not asked. */
  readonly seen: readonly string[] | undefined;
}

export interface GroundRequest {
  readonly listener: string;
  /** Shown to the proxy. */
  readonly certificate?: TestCertificate | undefined;
  /** By turns name and value, as they are sent. */
  readonly headers?: readonly string[];
  readonly path?: string;
}

/** One Envoy with static certificates, which lets any certificate through, before our handler in this process. */
export interface AuthzGround {
  readonly authority: TestCertificate;
  readonly trust: FakeTrustMap;
  readonly revocations: FakeRevocations;
  /** The latest is the last. */
  readonly records: readonly CheckRecord[];
  policies: readonly Policy[];
  issue(options: TestCertificateOptions): Promise<TestCertificate>;
  ask(asked: GroundRequest): Promise<GroundAnswer>;
  close(): Promise<void>;
}

export async function openAuthzGround(options: GroundOptions): Promise<AuthzGround> {
  await using stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const now = Date.now();
  const times = { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };
  const authority = await makeAuthority({ uris: ['spiffe://prod.example'], ...times });
  const issue = async (wanted: TestCertificateOptions): Promise<TestCertificate> =>
    await makeCertificate({ issuer: authority, ...times, ...wanted });
  const ground = {
    authority,
    trust: new FakeTrustMap(bundleOf('prod.example', authority)),
    revocations: new FakeRevocations(),
    records: [] as CheckRecord[],
    policies: [] as readonly Policy[],
    issue,
  };
  const handler = createHandler(ground, options);
  const authz = await serveUnix({
    path: path.join(folder.path, 'authz'),
    mode: 0o777,
    bytes: {
      transport: 'quick',
      methods: new Map([[CHECK, (request: Buffer) => handler.check(request)]]),
      maxRequestBytes: 1_048_576,
    },
    log: silentLog,
    metrics: createMetrics(),
  });
  stack.defer(async () => await authz.close(0));
  const application = await serveApplication(path.join(folder.path, 'app'));
  stack.defer(async () => await application.close());
  await saveCertificate(folder.path, 'server', await issue({ uris: [SERVICE] }));
  await saveCertificate(
    folder.path,
    'gateway',
    await issue({ uris: ['spiffe://prod.example/gateway'] }),
  );
  await writeFile(path.join(folder.path, 'ca.pem'), encodePem('CERTIFICATE', authority.der));
  const bootstrap = JSON.stringify(bootstrapOf(folder.path, options.listeners));
  const envoy = await launchEnvoy({ folder: folder.path, name: 'ground', bootstrap });
  stack.defer(async () => await envoy.stop());
  await envoy.waitReady();
  const open = stack.move();
  return Object.assign(ground, {
    ask: async (asked: GroundRequest) => await ask(folder.path, options, asked),
    close: async () => await open.disposeAsync(),
  });
}

function createHandler(
  ground: {
    readonly trust: FakeTrustMap;
    readonly revocations: FakeRevocations;
    readonly records: CheckRecord[];
    readonly policies: readonly Policy[];
  },
  options: GroundOptions,
): CheckHandler {
  const callers = new CallerReader({
    trust: () => ground.trust.current(),
    findRevocation: (subject) => ground.revocations.find(subject),
    needsCertificate: options.needsCertificate ?? true,
    jwtSvid: options.jwtSvid,
    xfcc: options.xfcc,
    clock: systemClock,
  });
  return new CheckHandler({
    plan: () => compilePlan(ground.policies, 'digest'),
    callers,
    assertions: options.assertions,
    claims: { namespace: 'envoy.filters.http.jwt_authn', key: 'jwt_payload' },
    onDecision: (record) => ground.records.push(record),
    idPrefix: 'x',
    clock: systemClock,
  });
}

async function serveApplication(socketPath: string): Promise<{ close(): Promise<void> }> {
  const server = createServer((incoming, response) => {
    response.setHeader('x-user', 'of the application');
    response.end(JSON.stringify(incoming.rawHeaders));
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function saveCertificate(
  folder: string,
  name: string,
  certificate: TestCertificate,
): Promise<void> {
  await writeFile(path.join(folder, `${name}.pem`), encodePem('CERTIFICATE', certificate.der));
  await writeFile(path.join(folder, `${name}.key`), await keyPem(certificate));
}

async function keyPem({ keys }: TestCertificate): Promise<string> {
  const der = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return encodePem('PRIVATE KEY', new Uint8Array(der));
}

/** One request on a connection of its own. */
async function ask(
  folder: string,
  { listeners }: GroundOptions,
  { listener, certificate, headers = [], path: target = '/x' }: GroundRequest,
): Promise<GroundAnswer> {
  const socketPath = path.join(folder, `in-${listener}`);
  const isPlain = listeners.find(({ name }) => name === listener)?.isPlain === true;
  const shown = certificate && {
    cert: encodePem('CERTIFICATE', certificate.der),
    key: await keyPem(certificate),
  };
  const createConnection = () => connect({ path: socketPath, rejectUnauthorized: false, ...shown });
  return await new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      ...(isPlain ? { socketPath } : { createConnection }),
      path: target,
      headers: ['host', 'api.example', 'connection', 'close', ...headers],
      signal: AbortSignal.timeout(10_000),
    });
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const status = incoming.statusCode ?? 0;
        const body = Buffer.concat(chunks).toString();
        resolve({
          status,
          headers: incoming.headers,
          seen: status === 200 ? JSON.parse(body) : undefined,
        });
      });
    });
    outgoing.end();
  });
}

function bootstrapOf(folder: string, listeners: readonly GroundListener[]): object {
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
  const { name, xfcc, to, rawHeaders = true, isPlain = false, underscores = 'ALLOW' } = listener;
  const router = filter('router', 'router.v3.Router', {});
  const authz = filter('ext_authz', 'ext_authz.v3.ExtAuthz', {
    transport_api_version: 'V3',
    failure_mode_allow: false,
    include_peer_certificate: true,
    encode_raw_headers: rawHeaders,
    validate_mutations: true,
    grpc_service: { timeout: '5s', envoy_grpc: { cluster_name: 'authz' } },
  });
  const manager = {
    '@type':
      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: name,
    forward_client_cert_details: xfcc,
    set_current_client_cert_details: { subject: true, uri: true, cert: to !== undefined },
    common_http_protocol_options: { headers_with_underscores_action: underscores },
    http_filters: to === undefined ? [authz, router] : [router],
    route_config: {
      virtual_hosts: [
        {
          name,
          domains: ['*'],
          routes: [
            { match: { prefix: '/' }, route: { cluster: to === undefined ? 'app' : `to-${to}` } },
          ],
        },
      ],
    },
  };
  return {
    name,
    address: { pipe: { path: path.join(folder, `in-${name}`) } },
    filter_chains: [
      {
        ...(isPlain ? {} : { transport_socket: downstreamTls(folder) }),
        filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
      },
    ],
  };
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
