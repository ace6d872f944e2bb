import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectPlain, type Socket } from 'node:net';
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
import { type GroundListener, groundBootstrap } from './ground-bootstrap.ts';
import { launchEnvoy } from './launch-envoy.ts';
import { createRunFolder } from './run-folder.ts';

const HOUR_MS = 3_600_000;
const MAX_HEADER_BYTES = 4_194_304;
const CHECK = '/envoy.service.auth.v3.Authorization/Check';
export const SERVICE = 'spiffe://prod.example/api';

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

export interface GroundConnection {
  readonly certificate?: TestCertificate | undefined;
  /** SNI. */
  readonly serverName?: string;
  readonly alpn?: readonly string[];
}

/** One Envoy with static certificates, which lets any certificate through, before our handler in this process. */
export interface AuthzGround {
  readonly authority: TestCertificate;
  readonly trust: FakeTrustMap;
  readonly revocations: FakeRevocations;
  /** The latest is the last. */
  readonly records: readonly CheckRecord[];
  /** What the proxy asked, as it did. */
  readonly checks: readonly Buffer[];
  /** What reached the application, as in `GET /x`. */
  readonly reached: readonly string[];
  policies: readonly Policy[];
  issue(options: TestCertificateOptions): Promise<TestCertificate>;
  ask(asked: GroundRequest): Promise<GroundAnswer>;
  /** A connection to a listener, by TLS unless it is a plain one. */
  dial(listener: string, how?: GroundConnection): Promise<Socket>;
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
    checks: [] as Buffer[],
    reached: [] as string[],
    policies: [] as readonly Policy[],
    issue,
  };
  const handler = createHandler(ground, options);
  const answer = (request: Buffer): Buffer => {
    ground.checks.push(request);
    return handler.check(request);
  };
  const authz = await serveUnix({
    path: path.join(folder.path, 'authz'),
    mode: 0o777,
    bytes: {
      transport: 'quick',
      methods: new Map([[CHECK, answer]]),
      maxRequestBytes: 1_048_576,
    },
    log: silentLog,
    metrics: createMetrics(),
  });
  stack.defer(async () => await authz.close(0));
  const application = await serveApplication(path.join(folder.path, 'app'), ground.reached);
  stack.defer(async () => await application.close());
  await saveCertificate(folder.path, 'server', await issue({ uris: [SERVICE] }));
  await saveCertificate(
    folder.path,
    'gateway',
    await issue({ uris: ['spiffe://prod.example/gateway'] }),
  );
  await writeFile(path.join(folder.path, 'ca.pem'), encodePem('CERTIFICATE', authority.der));
  const bootstrap = JSON.stringify(groundBootstrap(folder.path, options.listeners));
  const envoy = await launchEnvoy({ folder: folder.path, name: 'ground', bootstrap });
  stack.defer(async () => await envoy.stop());
  await envoy.waitReady();
  const dial = async (listener: string, how: GroundConnection = {}): Promise<Socket> => {
    const { isPlain = false, port } = options.listeners.find(({ name }) => name === listener) ?? {};
    const where =
      port === undefined ? { path: path.join(folder.path, `in-${listener}`) } : { port };
    return await dialListener(where, isPlain, how);
  };
  const open = stack.move();
  return Object.assign(ground, {
    ask: async (asked: GroundRequest) => await ask(dial, asked),
    dial,
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

async function serveApplication(
  socketPath: string,
  reached: string[],
): Promise<{ close(): Promise<void> }> {
  const note = ({ method, url }: IncomingMessage): void => void reached.push(`${method} ${url}`);
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (incoming, response) => {
    note(incoming);
    incoming.resume();
    response.setHeader('x-user', 'of the application');
    response.end(JSON.stringify(incoming.rawHeaders));
  });
  for (const event of ['upgrade', 'connect']) {
    server.on(event, (incoming: IncomingMessage, socket: Socket) => {
      note(incoming);
      socket.end('HTTP/1.1 200 OK\r\n\r\n');
    });
  }
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

async function dialListener(
  where: { readonly path: string } | { readonly port: number },
  isPlain: boolean,
  { certificate, serverName, alpn }: GroundConnection,
): Promise<Socket> {
  const shown = certificate && {
    cert: encodePem('CERTIFICATE', certificate.der),
    key: await keyPem(certificate),
  };
  const socket = isPlain
    ? connectPlain(where)
    : connect({
        ...where,
        rejectUnauthorized: false,
        ...shown,
        ...(serverName && { servername: serverName }),
        ...(alpn && { ALPNProtocols: [...alpn] }),
      });
  await once(socket, isPlain ? 'connect' : 'secureConnect');
  return socket;
}

/** One request on a connection of its own. */
async function ask(
  dial: AuthzGround['dial'],
  { listener, certificate, headers = [], path: target = '/x' }: GroundRequest,
): Promise<GroundAnswer> {
  const socket = await dial(listener, { certificate });
  return await new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      createConnection: () => socket,
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
