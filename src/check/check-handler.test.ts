import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import { policyOf, WEB } from '../../test/fakes/test-policies.ts';
import { type EnvoyMessages, loadEnvoyMessages } from '../../test/oracles/envoy-messages.ts';
import { compilePlan, type Plan } from '../authz/index.ts';
import {
  buildRevocationIndex,
  encodePem,
  findRevocation,
  IdScope,
  noRevocations,
  type RevocationIndex,
  TrustDomain,
} from '../spiffe/index.ts';
import { CallerReader } from './caller-reader.ts';
import { CheckHandler, type CheckRecord } from './check-handler.ts';
import { ProtoCursor } from './proto-cursor.ts';

const AUTH = 'envoy.service.auth.v3';
const SERVICE = 'spiffe://prod.example/api';
const foreign = TrustDomain.parse('partner.example');

let envoy: EnvoyMessages;
let authority: TestCertificate;
let other: TestCertificate;
beforeAll(async () => {
  envoy = await loadEnvoyMessages(['envoy/service/auth/v3/external_auth.proto']);
  authority = await makeAuthority({ uris: ['spiffe://prod.example'] });
  other = await makeAuthority({ uris: ['spiffe://partner.example'] });
});

let trust: FakeTrustMap;
let revocations: RevocationIndex;
let clock: FakeClock;
let plan: Plan | undefined;
let records: CheckRecord[];
let answered: Uint8Array;
beforeEach(() => {
  trust = new FakeTrustMap(bundleOf('prod.example', authority));
  revocations = noRevocations;
  clock = new FakeClock(testNow);
  plan = planOf([{ id: 'read', allow: ['GET /v1/**'] }]);
  records = [];
});

function planOf(rules: readonly object[], more: object = {}): Plan {
  return compilePlan([policyOf(rules, more)], 'the-digest');
}

interface Asked {
  readonly principal?: string;
  readonly certificate?: string;
  readonly http?: object | null;
  readonly needsCertificate?: boolean;
  readonly more?: object;
}

/** What Envoy reads of the answer. */
function ask(asked: Asked | Buffer = {}): Record<string, unknown> {
  const needsCertificate = Buffer.isBuffer(asked) || asked.needsCertificate === true;
  const callers = new CallerReader({
    trust: () => trust.current(),
    findRevocation: (subject) => findRevocation(revocations, subject),
    needsCertificate,
    clock,
  });
  const handler = new CheckHandler({
    plan: () => plan,
    callers,
    claims: { namespace: 'envoy.filters.http.jwt_authn', key: 'jwt_payload' },
    onDecision: (record) => records.push(record),
    idPrefix: 'n1',
    clock,
  });
  const bytes = Buffer.isBuffer(asked) ? asked : write(asked);
  answered = handler.check(bytes);
  return envoy.read(`${AUTH}.CheckResponse`, answered);
}

function write({ principal = WEB, certificate, http, more }: Asked): Buffer {
  return envoy.write(`${AUTH}.CheckRequest`, {
    attributes: {
      source: { principal, ...(certificate && { certificate }) },
      destination: { principal: SERVICE },
      ...(http !== null && { request: { http: { method: 'GET', path: '/v1/x', ...http } } }),
      ...more,
    },
  });
}

async function certificateOf(options: TestCertificateOptions): Promise<string> {
  const { der } = await makeCertificate({ issuer: authority, ...options });
  return encodeURIComponent(encodePem('CERTIFICATE', der));
}

function reasonOf(answer: Record<string, unknown>): unknown {
  const { fields } = Object(answer['dynamic_metadata']);
  return Object(Object(fields).reason).stringValue;
}

describe('an answer', () => {
  it('allows with code 0, the reason and the rule for logs (AUTHZ-1, AUTHZ-2, AUTHZ-9)', () => {
    const text = (stringValue: string) => expect.objectContaining({ stringValue });
    expect(ask()).toEqual({
      status: { code: 0 },
      http_response: 'ok_response',
      ok_response: {},
      dynamic_metadata: {
        fields: {
          reason: text('allowed_by_rule'),
          policy: text('p'),
          rule: text('read'),
          policy_digest: text('the-digest'),
          decision_id: text('n1-1'),
        },
      },
    });
  });

  it('overwrites mapped headers and removes owned ones (AUTHZ-9, AUTHZ-10, AUTHZ-11)', () => {
    plan = planOf([
      { allow: ['GET /v1/x'], map: { 'x-user': 'web', 'x-spiffe-id': 'source.id' } },
      { allow: ['GET /v1/y'], map: { 'x-tenant': 't' } },
    ]);
    const answer = ask();
    const header = (key: string, value: string) => ({
      header: { key, value },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    });
    expect(answer['ok_response']).toEqual({
      headers: [header('x-spiffe-id', WEB), header('x-user', 'web')],
      headers_to_remove: [
        'x-spiffe_id',
        'x-tenant',
        'x_spiffe-id',
        'x_spiffe_id',
        'x_tenant',
        'x_user',
      ],
    });
  });

  it('denies with 403 and says nothing of the policy (AUTHZ-7)', () => {
    const answer = ask({ http: { path: '/v2' } });
    expect(answer).toMatchObject({
      status: { code: 7 },
      denied_response: {
        status: { code: 'Forbidden' },
        headers: [{ header: { key: 'content-type', value: 'application/problem+json' } }],
        body: '{"type":"about:blank","title":"Forbidden","status":403}',
      },
    });
    expect(reasonOf(answer)).toBe('no_rule_matched');
  });

  it('denies gRPC with a message', () => {
    const headers = { 'content-type': 'application/grpc+proto' };
    expect(ask({ http: { path: '/a.B/C', headers } })).toMatchObject({
      status: { code: 7 },
      denied_response: { status: { code: 'Forbidden' }, body: 'Forbidden' },
    });
  });

  it('denies gRPC-Web as any HTTP: the proxy takes it for no gRPC', () => {
    const headers = { 'content-type': 'application/grpc-web' };
    expect(ask({ http: { path: '/a.B/C', headers } })).toMatchObject({
      denied_response: { body: '{"type":"about:blank","title":"Forbidden","status":403}' },
    });
  });

  it('denies who is nobody with 401 (AUTHZ-5)', () => {
    const answer = ask({ principal: '' });
    expect(answer).toMatchObject({
      status: { code: 16 },
      denied_response: { status: { code: 'Unauthorized' } },
    });
    expect(reasonOf(answer)).toBe('unauthenticated');
  });

  it('has no HTTP for a connection', () => {
    expect(ask({ http: null })).toMatchObject({ status: { code: 7 } });
    plan = planOf([{ allow: [{ port: 8443 }] }]);
    const more = {
      destination: {
        principal: SERVICE,
        address: { socket_address: { address: '10.0.0.1', port_value: 8443 } },
      },
    };
    const answer = ask({ http: null, more });
    expect(answer).toMatchObject({ status: { code: 0 } });
    expect(answer['http_response']).toBeUndefined();
  });

  it('denies while there are no policies, and what it cannot read (AUTHZ-2)', () => {
    const garbled = ask(Buffer.from('0a0a2208120622012f22012f', 'hex'));
    expect(garbled).toMatchObject({ status: { code: 7 }, http_response: 'denied_response' });
    expect(reasonOf(garbled)).toBe('bad_request');
    plan = undefined;
    expect(reasonOf(ask())).toBe('policy_missing');
  });

  it('calls a failure of its own one, for the proxy to count (AUTHZ-8)', () => {
    const broken = planOf([{ allow: ['GET /v1/x'] }]);
    plan = {
      ...broken,
      get rules(): never {
        throw new Error('broken');
      },
    };
    expect(ask()).toMatchObject({ status: { code: 14 } });
    const fields = new ProtoCursor(answered);
    while (fields.field !== 5 && fields.next());
    const { bytes, from, to } = fields;
    const denied = envoy.read(`${AUTH}.DeniedHttpResponse`, bytes.subarray(from, to));
    expect(denied).toMatchObject({ status: { code: 'ServiceUnavailable' } });
  });
});

describe('the policies that are asked', () => {
  it('are those of the service whose certificate the proxy shows, or of its route (AUTHZ-12, AUTHZ-14)', () => {
    plan = planOf([{ allow: ['GET /v1/**'] }], { service: { contextExtension: 'payments' } });
    expect(reasonOf(ask())).toBe('policy_missing');
    const named = { context_extensions: { 'trustplane.policy': 'payments' } };
    expect(reasonOf(ask({ more: named }))).toBe('allowed_by_rule');
    plan = planOf([{ allow: ['GET /v1/**'] }]);
    const unnamed = { destination: { principal: 'spiffe://prod.example/API/../api' } };
    expect(reasonOf(ask({ more: unnamed }))).toBe('policy_missing');
  });

  it('go by the host, and by no SNI, whether the proxy tells one or not (AUTHZ-15)', () => {
    plan = planOf([{ allow: [{ methods: ['GET'], paths: ['/v1/**'], hosts: ['api.example'] }] }]);
    const told = { tls_session: { sni: 'api.example' } };
    expect(reasonOf(ask({ http: { host: 'api.example' } }))).toBe('allowed_by_rule');
    expect(reasonOf(ask({ http: { host: 'other.example' }, more: told }))).toBe('no_rule_matched');
    const lied = { tls_session: { sni: 'other.example' } };
    expect(reasonOf(ask({ http: { host: 'api.example' }, more: lied }))).toBe('allowed_by_rule');
  });

  it('see the claims of a token that the proxy verified (AUTHZ-12)', () => {
    plan = planOf([
      { allow: ['GET /v1/**'], when: { jwt: { issuer: 'https://sso', claims: { sub: 'ann' } } } },
    ]);
    const payload = { iss: { stringValue: 'https://sso' }, sub: { stringValue: 'ann' } };
    const metadata = (key: string) => ({
      metadata_context: {
        filter_metadata: {
          'envoy.filters.http.jwt_authn': {
            fields: { [key]: { structValue: { fields: payload } } },
          },
        },
      },
    });
    expect(reasonOf(ask({ more: metadata('jwt_payload') }))).toBe('allowed_by_rule');
    expect(reasonOf(ask({ more: metadata('another') }))).toBe('no_rule_matched');
  });
});

describe('a caller', () => {
  const good = { uris: [WEB] };

  it('is who its certificate says (AUTHZ-4)', async () => {
    const certificate = await certificateOf(good);
    const principal = 'spiffe://prod.example/root';
    expect(reasonOf(ask({ principal, certificate, needsCertificate: true }))).toBe(
      'allowed_by_rule',
    );
    expect(records[0]?.caller?.toString()).toBe(WEB);
  });

  it.each<[string, TestCertificateOptions]>([
    ['two URI SANs', { uris: [WEB, 'spiffe://prod.example/b'] }],
    ['no URI SAN', { uris: [], dns: ['web.prod.example'], subject: `CN=${WEB}` }],
    ['an https URI', { uris: ['https://prod.example/web'] }],
    ['an invalid path', { uris: ['spiffe://prod.example/a/../b'] }],
    ['the ID of a trust domain', { uris: ['spiffe://prod.example'] }],
    ['a certificate authority', { uris: [WEB], isCa: true, keyUsage: ['keyCertSign'] }],
    ['an expired one', { uris: [WEB], notAfter: testNow - 2_000 }],
    ['one of the future', { uris: [WEB], notBefore: testNow + 60_000 }],
  ])('is nobody with %s (AUTHZ-3, AUTHZ-4)', async (_, options) => {
    const certificate = await certificateOf(options);
    expect(reasonOf(ask({ certificate, needsCertificate: true }))).toBe('bad_svid');
    expect(reasonOf(ask({ certificate }))).toBe('bad_svid');
  });

  it('is nobody with what is no certificate, or none where it has to be', () => {
    for (const certificate of ['x', '%', '-----BEGIN%20CERTIFICATE-----', 'x'.repeat(70_000)]) {
      expect(reasonOf(ask({ certificate }))).toBe('bad_svid');
    }
    expect(reasonOf(ask({ needsCertificate: true }))).toBe('bad_svid');
    for (const principal of [
      'web.prod.example',
      'CN=spiffe://a/b',
      'spiffe://prod.example',
      'spiffe://prod.example/a?b',
    ]) {
      expect(reasonOf(ask({ principal }))).toBe('bad_svid');
    }
  });

  it('is of a trust domain that is known now, and within its scope', async () => {
    const reporting = 'spiffe://partner.example/svc/reporting';
    plan = planOf([{ from: [reporting], allow: ['GET /v1/**'] }]);
    const certificate = await certificateOf({ issuer: other, uris: [reporting] });
    const asked = { certificate, needsCertificate: true };
    expect(reasonOf(ask(asked))).toBe('unknown_trust_domain');
    trust.set(trust.current().own, bundleOf('partner.example', other));
    expect(reasonOf(ask(asked))).toBe('allowed_by_rule');
    const accept = [IdScope.parse('spiffe://partner.example/payments/**', foreign)];
    trust.setTerms(['partner.example', { accept, publisherId: undefined }]);
    expect(reasonOf(ask(asked))).toBe('unknown_trust_domain');
    trust.setTerms();
    trust.set(trust.current().own, bundleOf('partner.example'));
    expect(reasonOf(ask(asked))).toBe('unknown_trust_domain');
  });

  it('is refused once its SVID is revoked', async () => {
    const certificate = await certificateOf(good);
    const asked = { certificate, needsCertificate: true };
    expect(reasonOf(ask(asked))).toBe('allowed_by_rule');
    const times = { issuedBefore: testNow, expiresAt: testNow * 2, reason: 'x' };
    revocations = buildRevocationIndex([{ id: '1', kind: 'spiffe-id', value: WEB, ...times }]);
    expect(reasonOf(ask(asked))).toBe('revoked');
    expect(reasonOf(ask())).toBe('revoked');
    const later = await certificateOf({ ...good, notBefore: testNow });
    expect(reasonOf(ask({ ...asked, certificate: later }))).toBe('allowed_by_rule');
  });
});
