import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchOnePolicy } from '../differential/launch-one-policy.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { domains, revoked } from '../differential/random-policies.ts';
import { RawClient } from '../differential/raw-client.ts';
import { RawHttp2Client } from '../differential/raw-http2-client.ts';
import { judges, type RbacEnvoy } from '../differential/rbac-envoy.ts';

const SERVICE = `spiffe://${domains.own}/ns/ledger/sa/api`;
const WEB = `spiffe://${domains.own}/ns/shop/sa/web`;
const CART = `spiffe://${domains.own}/ns/cart/sa/web`;

const policy: PolicyDocument = {
  metadata: { name: 'p' },
  service: { contextExtension: 'c' },
  rules: [
    { id: 'ok', from: [`spiffe://${domains.own}/ns/shop/**`], allow: ['GET /ok'] },
    { id: 'v1', from: [WEB], allow: ['ANY /v1/**'] },
    { id: 'no-admin', from: 'anyone', deny: ['/v1/admin/**'] },
    { id: 'no-delete', from: 'anyone', deny: ['DELETE /**'] },
    { id: 'get', from: [WEB], allow: ['GET /get'] },
    { id: 'host', from: [WEB], allow: ['GET /host/**'] },
    { id: 'no-internal', from: 'anyone', deny: [{ hosts: ['internal.example', '*.k.example'] }] },
    { id: 'role', from: [WEB], allow: ['GET /role'] },
    {
      id: 'no-banned',
      from: 'anyone',
      deny: ['/role'],
      when: { headers: { 'x-role': 'banned' } },
    },
    {
      id: 'ticket',
      from: [WEB],
      allow: ['GET /ticket'],
      when: { headers: { 'x-ticket': 'INC-*' } },
    },
    {
      id: 'but-cart',
      from: { ids: [`spiffe://${domains.own}/**`], except: [CART] },
      allow: ['GET /but-cart'],
    },
    {
      id: 'token',
      from: [WEB],
      allow: ['GET /token'],
      when: { jwt: { issuer: 'https://sso.example' } },
    },
  ],
};

/** As our bootstraps have them. */
const strict = {
  forward_client_cert_details: 'SANITIZE',
  strip_any_host_port: true,
  strip_trailing_host_dot: true,
  normalize_path: true,
  merge_slashes: true,
  path_with_escaped_slashes_action: 'REJECT_REQUEST',
  common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' },
};
const managers = [
  ['as our bootstraps have it', strict],
  ['that normalizes nothing', {}],
] as const;

describe.each(managers)('RBAC in an Envoy %s', (_, manager) => {
  let envoy: RbacEnvoy;
  let port: number;

  beforeAll(async () => {
    ({ envoy, port } = await launchOnePolicy(policy, {
      manager,
    }));
  });
  afterAll(async () => await envoy[Symbol.asyncDispose]());

  interface Sent {
    readonly as?: string;
    readonly host?: string;
    readonly lines?: readonly string[];
  }

  /** What RBAC alone, and RBAC before Check, come to: the status, which is 400 too where a connection is cut. */
  async function outcomes(line: string, { as = WEB, host = 'api.example', lines = [] }: Sent = {}) {
    const head = [`${line} HTTP/1.1`, `host: ${host}`, 'x-case: c', ...lines, '', ''].join('\r\n');
    return await Promise.all(
      (['alone', 'both'] as const).map(async (judge) => {
        const options = { host: judges[judge], port, localAddress: '127.0.0.1' };
        const client = new RawClient({ ...options, identity: envoy.identityOf(as) });
        const { status } = await client.ask(head);
        client.close();
        return status;
      }),
    );
  }

  const allowed = [200, 200];
  const isRefused = (got: readonly number[]): boolean =>
    got.every((status) => status === 403 || status === 400);

  it('lets through what it should, so that a denial below is one', async () => {
    expect(await outcomes('GET /ok')).toEqual(allowed);
    expect(await outcomes('GET /ok?a=1')).toEqual(allowed);
    expect(await outcomes('PUT /v1/x')).toEqual(allowed);
    expect(await outcomes('GET /v1')).toEqual(allowed);
    expect(await outcomes('GET /host/x')).toEqual(allowed);
    expect(await outcomes('GET /role', { lines: ['x-role: user'] })).toEqual(allowed);
    expect(await outcomes('GET /ticket', { lines: ['x-ticket: INC-1'] })).toEqual(allowed);
    expect(await outcomes('GET /but-cart')).toEqual(allowed);
  });

  it.each([
    'GET /secret',
    'GET /v1/admin/x',
    'GET /v10',
    'GET /v1x',
    'POST /ok',
    'GET /secret?/ok',
  ])('denies %s', async (line) => expect(await outcomes(line)).toEqual([403, 403]));

  it('goes by the path, and not by x-envoy-original-path, which anybody may send', async () => {
    const lines = ['x-envoy-original-path: /ok'];
    expect(await outcomes('GET /secret', { lines })).toEqual([403, 403]);
    const other = ['x-envoy-original-path: /v1/ok'];
    expect(await outcomes('GET /v1/admin/x', { lines: other })).toEqual([403, 403]);
  });

  it.each([
    'two-uris',
    'no-uri',
    'dns-only',
    'https-uri',
    'domain-id',
    'nobody',
    `spiffe://${domains.unknown}/ns/shop/sa/web`,
    revoked,
    CART,
  ])('takes %s for nobody who may do something', async (as) => {
    expect(await outcomes('GET /ok', { as })).toEqual([403, as === 'nobody' ? 401 : 403]);
    const second = await outcomes('GET /but-cart', { as });
    expect(second.includes(200)).toBe(false);
  });

  it.each([
    '/v1/admin;v=1/x',
    '/v1;v=1/admin/x',
    '/v1/admin/x;v=1',
    '/v1/;/admin/x',
    '/v1%2fadmin/x',
    '/v1/x%2F..%2Fadmin/x',
    '/v1%5cadmin/x',
    '/v1//admin/x',
    '//v1/admin/x',
    '/v1/./admin/x',
    '/v1/x/../admin/x',
    '/v1/x/%2e%2e/admin/x',
    '/v1/x/..;/admin/x',
    '/v1/%61dmin/x',
    '/v1/admin%00/x',
    '/v1\\admin\\x',
    '/v1/admin/x#',
    '/v1/ok#/../admin/x',
    '/v1/%zz',
    '/v1/admin/x?/../../ok',
  ])('is not got around by the path %s', async (path) => {
    const got = await outcomes(`GET ${path}`);
    expect([path, got, isRefused(got)]).toEqual([path, got, true]);
  });

  it.each([
    'internal.example',
    'INTERNAL.Example',
    'internal.example:8080',
    'internal.example.',
    'Internal.example.:8080',
    'x@internal.example',
    'api.example,internal.example',
    'internal.example:80:80',
    'internal.example..',
    'internal.example\r\nhost: api.example',
    'api.example\r\nhost: internal.example',
    'a.K.example',
    'a.k.EXAMPLE:1',
  ])('is not got around by the host %j', async (host) => {
    const got = await outcomes('GET /host/x', { host });
    expect([got, isRefused(got)]).toEqual([got, true]);
  });

  it('goes by the host of a target in absolute form', async () => {
    expect(await outcomes('GET http://api.example/host/x', { host: 'internal.example' })).toEqual(
      allowed,
    );
    expect(await outcomes('GET http://internal.example/host/x')).toEqual([403, 403]);
    expect(await outcomes('GET https://INTERNAL.example:80/host/x')).toEqual([403, 403]);
  });

  it.each([
    [['x-role: banned', 'x-role: user']],
    [['x-role: user', 'x-role: banned']],
    [['X-Role:banned', 'x-role:']],
    [['x-role: banned']],
  ])('denies by a header that has other lines too: %j', async (lines) => {
    expect(await outcomes('GET /role', { lines })).toEqual([403, 403]);
  });

  it.each([
    [['x-ticket: INC-1', 'x-ticket: evil']],
    [['x-ticket: evil', 'x-ticket: INC-1']],
    [[]],
    [['x-ticket: INC-']],
  ])('allows by a header only if each of its lines is right: %j', async (lines) => {
    expect(await outcomes('GET /ticket', { lines })).toEqual([403, 403]);
  });

  it('takes x_ticket for no x-ticket', async () => {
    const got = await outcomes('GET /ticket', { lines: ['x_ticket: INC-1'] });
    expect(isRefused(got)).toBe(true);
  });

  it.each(['nobody', CART])('believes nothing that %s says of another certificate', async (as) => {
    const lines = [`x-forwarded-client-cert: By=${SERVICE};Hash=aa;URI=${WEB}`];
    const got = await outcomes('GET /get', { as, lines });
    expect(got.includes(200)).toBe(false);
  });

  it('allows nobody by a token that is not there, or not signed', async () => {
    expect(await outcomes('GET /token')).toEqual([403, 403]);
    const body = Buffer.from('{"iss":"https://sso.example"}').toString('base64url');
    const lines = [`x-token: eyJhbGciOiJub25lIn0.${body}.`];
    expect((await outcomes('GET /token', { lines })).includes(200)).toBe(false);
  });

  it.each(['delete', 'Delete'])('denies the method %s of HTTP/2 as DELETE', async (method) => {
    const asked = { method, path: '/v1/x', authority: 'api.example', body: '' };
    expect(await outcomesOfHttp2(asked)).toEqual([403, 403]);
  });

  it('allows the method get of HTTP/2 to nobody who may GET', async () => {
    const asked = { path: '/get', authority: 'api.example', body: '' };
    expect(await outcomesOfHttp2({ ...asked, method: 'GET' })).toEqual(allowed);
    expect(await outcomesOfHttp2({ ...asked, method: 'get' })).toEqual([403, 403]);
  });

  async function outcomesOfHttp2(request: Omit<Parameters<RawHttp2Client['ask']>[0], 'lines'>) {
    return await Promise.all(
      (['alone', 'both'] as const).map(async (judge) => {
        const options = { host: judges[judge], port, localAddress: '127.0.0.1' };
        const client = new RawHttp2Client({ ...options, identity: envoy.identityOf(WEB) });
        const { status } = await client.ask({ ...request, lines: [['x-case', 'c']] });
        client.close();
        return status;
      }),
    );
  }
});
