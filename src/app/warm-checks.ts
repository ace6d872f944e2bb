import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, createServer } from 'node:net';
import {
  openPlan,
  type Policy,
  packPlan,
  parseIdPattern,
  parsePathPattern,
} from '../authz/deciding.ts';
import {
  CallerReader,
  CheckHandler,
  createDecisionLog,
  createDecisionMetrics,
  writeCheckRequest,
} from '../check/index.ts';
import { createMetrics, silentLog, systemClock } from '../ops/index.ts';
import { emptyBundle, TrustDomain, type TrustMap } from '../spiffe/index.ts';
import { type BytesTransport, createBytesHost, selfTestPeerCredentials } from '../wire/index.ts';
import { CHECK, CheckMethods } from './check-methods.ts';

/** By then it is as fast as it gets within some percent. */
const ROUNDS = 120;
const CALLS_PER_ROUND = 16;
const LONGEST_MS = 300;
const NAME_BYTES = 8;

const DOMAIN = 'warm-up.invalid';
const WEB = `spiffe://${DOMAIN}/ns/shop/sa/web`;
const API = `spiffe://${DOMAIN}/ns/shop/sa/api`;
/** Of `WEB`, of 2026 to 2126; its keys are lost. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIB2TCCAX+gAwIBAgIRAOvCuiSDvOvRH3hRbp3RqP0wCgYIKoZIzj0EAwIwFDES
MBAGA1UEAxMJYXV0aG9yaXR5MCAXDTI2MDEwMTAwMDAwMFoYDzIxMjYwMTAxMDAw
MDAwWjAPMQ0wCwYDVQQDEwRsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
9y4vF33Uqdv+MJ9vMZPzIvsAuPwl/tpm9PPsYtohviBMpRGaAgJ9Eh+We2oUn4cU
efnkPGDZX8Oj8lpU5P8hLqOBtDCBsTAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB/wQE
AwIHgDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwMgYDVR0RBCswKYYn
c3BpZmZlOi8vd2FybS11cC5pbnZhbGlkL25zL3Nob3Avc2Evd2ViMB0GA1UdDgQW
BBQRVP1SBUjmqce9rljx18PRcuxVhjAfBgNVHSMEGDAWgBR56epNN+nigI2C2odq
0f4NFT1WhjAKBggqhkjOPQQDAgNIADBFAiAFlR+wwF+XH6+kZ2M5LhPFIaT6yRTc
QSiREdyGSaiRzgIhAIIUQCZMf3F1kEXN0QbdzRdFacLvinlNrH208MgWLCps
-----END CERTIFICATE-----
`;

/**
 * Has requests of every kind answered by a service of its own over the transport and a real connection,
 * until the code that answers is compiled: the first requests of real proxies are then no slower
 * than the rest. Takes 300 ms at most, and lets what comes meanwhile have its turn.
 */
export async function warmChecks(transport: BytesTransport): Promise<void> {
  // Loads what asks the kernel who connects.
  await selfTestPeerCredentials();
  const handler = createHandler();
  const methods = new CheckMethods(transport, (request) => handler.check(request));
  const host = createBytesHost(methods, {
    calls: { maxCalls: 1_000, maxCallsPerOwner: 1_000, ownerOf: () => undefined },
    log: silentLog,
    metrics: createMetrics(),
    clock: systemClock,
  });
  const listener = createServer((socket) => host.injectConnection(socket));
  const path = `\0trustplane-warm-up-${randomBytes(NAME_BYTES).toString('hex')}`;
  await once(listener.listen(path), 'listening');
  const session = connectHttp2('http://localhost', { createConnection: () => connect(path) });
  session.on('error', () => {});
  try {
    await askOften(session);
  } finally {
    session.close();
    listener.close();
    host.drain(0);
    await once(session, 'close');
    host.close();
  }
}

async function askOften(session: ClientHttp2Session): Promise<void> {
  const requests = writeRequests();
  const end = performance.now() + LONGEST_MS;
  for (let round = 0; round < ROUNDS && performance.now() < end; round++) {
    const calls = Array.from({ length: CALLS_PER_ROUND }, async (_, at) => {
      const request = requests[(round + at) % requests.length];
      if (request !== undefined) await ask(session, request);
    });
    await Promise.all(calls);
  }
}

async function ask(session: ClientHttp2Session, request: Buffer): Promise<void> {
  const stream = session.request({
    ':method': 'POST',
    ':path': CHECK,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(request.length, 1);
  stream.end(Buffer.concat([prefix, request]));
  stream.resume();
  await once(stream, 'close');
}

/** Allowed and denied, with and without certificate, with headers of both forms, and claims. */
function writeRequests(): readonly Buffer[] {
  const headers = {
    'user-agent': 'warm-up/1',
    accept: '*/*',
    'x-request-id': '9a1d1f0a-4b1c-4b59-9d5b-0d1a1a1f2b11',
    'x-user': 'forged',
  };
  const common = { destination: API, host: 'api.warm-up.invalid', headers };
  const principal = WEB;
  return [
    'GET /v1/items/1/state?x=y',
    'POST /v1/items',
    'GET /v1/claims/1',
    'GET /nothing',
  ].flatMap((line) => {
    const [method = '', target = ''] = line.split(' ');
    const check = { ...common, method, target };
    const source = { ip: '10.1.2.3', principal, certificate: CERTIFICATE };
    const claims = { sub: 'user', team: 'shop' };
    return [
      writeCheckRequest({ ...check, source, hasRawHeaders: true }),
      writeCheckRequest({ ...check, source, hasRawHeaders: false, claims }),
      writeCheckRequest({ ...check, source: { ip: '10.1.2.3', principal }, hasRawHeaders: true }),
    ];
  });
}

function createHandler(): CheckHandler {
  const plan = openPlan(packPlan([buildPolicy()], 'warm-up'));
  const own = {
    ...emptyBundle(TrustDomain.parse(DOMAIN)),
    x509Authorities: [{ certificate: new Uint8Array(), tainted: false }],
  };
  const trust: TrustMap = { own, federated: new Map(), terms: new Map() };
  const callers = new CallerReader({
    trust: () => trust,
    findRevocation: () => undefined,
    needsCertificate: true,
    clock: systemClock,
  });
  const count = createDecisionMetrics(createMetrics());
  const log = createDecisionLog({ sinks: [], sample: 1, headers: [], clock: systemClock });
  return new CheckHandler({
    plan: () => plan,
    callers,
    claims: { namespace: 'envoy.filters.http.jwt_authn', key: 'jwt_payload' },
    onDecision: (record) => {
      count(record);
      log.record(record);
    },
    idPrefix: 'warm-up',
    clock: systemClock,
  });
}

function buildPolicy(): Policy {
  const ids = [parseIdPattern(`spiffe://${DOMAIN}/ns/*/sa/{name}`)];
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'warm-up' },
    service: parseIdPattern(API),
    rules: [
      {
        id: 'read',
        from: { ids },
        allow: [{ methods: ['GET'], paths: [parsePathPattern('/v1/items/**')] }],
        map: { 'x-user': { kind: 'template', parts: ['', 'name', ''] } },
      },
      {
        id: 'drafts',
        from: 'authenticated',
        deny: [{ paths: [parsePathPattern('/v1/drafts/**')] }],
      },
      {
        id: 'exact',
        from: { ids: [parseIdPattern(WEB)] },
        allow: [{ methods: ['POST'], paths: [parsePathPattern('/v1/items')] }],
      },
    ],
  };
}
