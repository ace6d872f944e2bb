import { compilePlan, policySchema } from '../../src/authz/index.ts';
import { CallerReader } from '../../src/check/caller-reader.ts';
import { CheckHandler } from '../../src/check/check-handler.ts';
import { writeCheckRequest } from '../../src/check/write-check-request.ts';
import { systemClock } from '../../src/ops/index.ts';
import { encodePem } from '../../src/spiffe/index.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { type AuthzGround, openAuthzGround, SERVICE } from '../programs/authz-ground.ts';
import { freePorts } from '../programs/free-ports.ts';
import { exchange } from '../programs/raw-exchange.ts';
import { type CheckOracle, createCheckOracle } from './check-oracle.ts';

const WEB = 'spiffe://prod.example/ns/shop/sa/web';
const BATCH = 'spiffe://prod.example/batch';
const GONE = 'spiffe://prod.example/gone';

/** Rules of each kind, of which each has requests that it is for among the samples. */
export function fuzzPolicies(
  service: string,
  callers: Readonly<Record<'web' | 'batch' | 'gone', string>>,
  port: number,
): readonly PolicyDocument[] {
  const { web, batch, gone } = callers;
  return [
    {
      metadata: { name: 'api' },
      service,
      rules: [
        {
          id: 'charges',
          from: [web],
          allow: ['POST /v1/charges'],
          when: { headers: { 'x-ticket': 'INC-*' } },
        },
        {
          id: 'items',
          from: [web, batch, gone],
          allow: [{ methods: ['GET'], paths: ['/v1/items/**'], hosts: ['api.example'] }],
        },
        { id: 'secret', from: 'anyone', deny: ['/v1/items/secret/**'] },
        {
          id: 'evil',
          from: 'anyone',
          deny: ['/v1/items/**'],
          when: { headers: { 'x-evil': 'yes' } },
        },
        { id: 'grpc', from: [batch], allow: [{ grpc: ['a.B/Get'] }] },
        {
          id: 'claims',
          from: [web],
          allow: ['GET /claims'],
          when: { jwt: { issuer: 'https://sso.example', claims: { sub: 'ann' } } },
        },
        { id: 'tcp', from: [web], allow: [{ port }] },
      ],
    },
    {
      metadata: { name: 'other' },
      service: { contextExtension: 'other' },
      rules: [{ id: 'all', from: [batch], allow: ['GET /other'] }],
    },
  ];
}

/** What a CheckHandler is asked and may allow. */
export interface FuzzWorld {
  readonly handler: CheckHandler;
  readonly oracle: CheckOracle;
  /** Of Envoy, and one of each kind that it was not made to ask. */
  readonly samples: readonly Buffer[];
  /** Reason of the latest decision. */
  reason(): string | undefined;
}

/** Has a real Envoy ask, and keeps what it asked. */
export async function openFuzzWorld(): Promise<FuzzWorld> {
  const [port = 0] = await freePorts(1);
  const callers = { web: WEB, batch: BATCH, gone: GONE };
  const policies = fuzzPolicies(SERVICE, callers, port);
  const ground = await openAuthzGround({
    listeners: [
      { name: 'raw', authz: { include_tls_session: true } },
      { name: 'joined', rawHeaders: false },
      { name: 'tcp', isTcp: true, port },
    ],
  });
  try {
    const samples = [...(await recordChecks(ground)), ...(await writtenChecks(ground))];
    ground.revocations.add({ kind: 'spiffe-id', value: GONE, issuedBefore: Date.now() + 1_000 });
    let reason: string | undefined;
    const parsed = policies.map((document) =>
      policySchema.parse({ apiVersion: 'trustplane/v1', kind: 'Policy', ...document }),
    );
    const plan = compilePlan(parsed, 'digest');
    const handler = new CheckHandler({
      plan: () => plan,
      callers: new CallerReader({
        trust: () => ground.trust.current(),
        findRevocation: (subject) => ground.revocations.find(subject),
        needsCertificate: true,
        clock: systemClock,
      }),
      claims: { namespace: 'envoy.filters.http.jwt_authn', key: 'jwt_payload' },
      onDecision: ({ decision }) => {
        reason = decision.reason;
      },
      idPrefix: 'fuzz',
      clock: systemClock,
    });
    const oracle = await createCheckOracle({
      policies,
      callers: new Set([WEB, BATCH]),
      needsCertificate: true,
    });
    return { handler, oracle, samples, reason: () => reason };
  } finally {
    await ground.close();
  }
}

async function recordChecks(ground: AuthzGround): Promise<readonly Buffer[]> {
  const requests = [
    'POST /v1/charges HTTP/1.1\r\nhost: api.example\r\nx-ticket: INC-1\r\nx-ticket: INC-2',
    'GET /v1/items/a/b?x=1 HTTP/1.1\r\nhost: API.example:8443\r\naccept: */*',
    'GET /v1/items/secret/a HTTP/1.1\r\nhost: api.example',
    'GET /v1/items/a HTTP/1.1\r\nhost: api.example\r\nx-evil: yes',
    'POST /a.B/Get HTTP/1.1\r\nhost: api.example\r\ncontent-type: application/grpc',
  ];
  for (const uri of [WEB, BATCH, GONE]) {
    const certificate = await ground.issue({ uris: [uri] });
    for (const listener of ['raw', 'joined']) {
      for (const request of requests) {
        const head = `${request}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`;
        await exchange(await ground.dial(listener, { certificate }), head);
      }
    }
    const how = { certificate, serverName: 'api.example' };
    await exchange(await ground.dial('tcp', how), 'x').catch(() => {});
  }
  return [...ground.checks];
}

/** With claims of a token. */
async function writtenChecks(ground: AuthzGround): Promise<readonly Buffer[]> {
  const { der } = await ground.issue({ uris: [WEB] });
  const check = {
    source: { ip: '10.0.0.1', principal: WEB, certificate: encodePem('CERTIFICATE', der) },
    destination: SERVICE,
    method: 'GET',
    target: '/claims',
    host: 'api.example',
    headers: {},
    claims: { iss: 'https://sso.example', sub: 'ann' },
  };
  return [true, false].map((hasRawHeaders) => writeCheckRequest({ ...check, hasRawHeaders }));
}
