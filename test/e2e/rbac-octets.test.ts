import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchOnePolicy } from '../differential/launch-one-policy.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { domains } from '../differential/random-policies.ts';
import { RawClient } from '../differential/raw-client.ts';
import { type Http2Request, RawHttp2Client } from '../differential/raw-http2-client.ts';
import { judges, type RbacEnvoy } from '../differential/rbac-envoy.ts';

const WEB = `spiffe://${domains.own}/ns/shop/sa/web`;

const policy: PolicyDocument = {
  metadata: { name: 'p' },
  service: { contextExtension: 'c' },
  rules: [
    { id: 'all', from: [WEB], allow: ['ANY /**'] },
    { id: 'cookie', from: 'anyone', deny: ['/**'], when: { headers: { cookie: 'a=*' } } },
    { id: 'role', from: 'anyone', deny: ['/**'], when: { headers: { 'x-role': 'b*' } } },
    { id: 'host', from: 'anyone', deny: [{ hosts: ['bad.example'] }] },
  ],
};

function http1RequestOf(head: string | Partial<Http2Request>): string {
  return typeof head === 'string' ? `${head}\r\nx-case: c\r\n\r\n` : '';
}

function http2RequestOf(head: string | Partial<Http2Request>): Http2Request {
  const more = typeof head === 'string' ? {} : head;
  const lines = [['x-case', 'c'] as const, ...(more.lines ?? [])];
  return { method: 'GET', path: '/x', authority: 'a', body: '', ...more, lines };
}

const managers = [
  ['as it is', {}],
  ['that takes HTTP/1.0', { accept_http_10: true, default_host_for_http_10: 'bad.example' }],
] as const;

describe.each(managers)('octets of requests in an Envoy %s', (_, http1) => {
  let envoy: RbacEnvoy;
  let port: number;

  beforeAll(async () => {
    ({ envoy, port } = await launchOnePolicy(policy, {
      manager: {
        http_protocol_options: http1,
        http2_protocol_options: { allow_connect: true },
        upgrade_configs: [{ upgrade_type: 'websocket' }, { upgrade_type: 'CONNECT' }],
      },
    }));
  });
  afterAll(async () => await envoy[Symbol.asyncDispose]());

  /** Whether Check alone, RBAC alone, and RBAC before Check let it through. */
  async function passes(head: string | Partial<Http2Request>) {
    const [check, alone, both] = await Promise.all(
      (['check', 'alone', 'both'] as const).map(async (judge) => {
        const identity = envoy.identityOf(WEB);
        const options = { host: judges[judge], port, localAddress: '127.0.0.1', identity };
        const client =
          typeof head === 'string' ? new RawClient(options) : new RawHttp2Client(options);
        const asked =
          client instanceof RawClient
            ? client.ask(http1RequestOf(head))
            : client.ask(http2RequestOf(head));
        const status = await asked.then(
          (answer) => answer.status,
          () => 0,
        );
        client.close();
        return status === 200;
      }),
    );
    return { check, alone, both };
  }

  const everybody = { check: true, alone: true, both: true };
  const nobody = { check: false, alone: false, both: false };

  it('are let through and refused alike where nothing is odd', async () => {
    expect(await passes('GET /x HTTP/1.1\r\nhost: a')).toEqual(everybody);
    expect(await passes('GET /x HTTP/1.1\r\nhost: a\r\nx-role: bb')).toEqual(nobody);
    expect(await passes('GET /x HTTP/1.1\r\nhost: a\r\ncookie: a=1')).toEqual(nobody);
    expect(await passes({})).toEqual(everybody);
    expect(await passes({ authority: 'BAD.example' })).toEqual(nobody);
  });

  /** Where something is allowed alone that Check denies, or what stands before Check changes anything. */
  async function differences(...heads: readonly (string | Partial<Http2Request>)[]) {
    const all = await Promise.all(heads.map(async (head) => ({ head, ...(await passes(head)) })));
    return all.filter(({ check, alone, both }) => both !== check || (alone && !check));
  }

  const values = [
    'b\x80',
    'b\xc3',
    'b\xc3(',
    'b\xed\xa0\x80',
    'b\xf8\x80\x80\x80\x80',
    'b\xff\xfe',
    '\x80b',
    'b\xc0\x80',
    'b\xf4\x90\x80\x80',
    'b\xe2\x82',
    'b\xe2\x80\xa8x',
    'b\x85',
    'b,',
    ',b',
    'b\tb',
    ' bb',
    'bb ',
    'B1',
    '',
    'b"1',
    'c\r\n b',
  ];
  it.each(values)('in a value %j of a header', async (value) => {
    const heads = [
      `GET /x HTTP/1.1\r\nhost: a\r\nx-role: ${value}`,
      `GET /x HTTP/1.1\r\nhost: a\r\nx-role: c\r\nX-Role: ${value}`,
      `GET /x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${value}`,
    ];
    const isOneLine = !/[\r\n]/u.test(value);
    const more = isOneLine ? [{ lines: [['x-role', value] as const] }] : [];
    expect(await differences(...heads, ...more)).toEqual([]);
  });

  const hosts = ['', ':', ':80', '.', '..', 'bad.example:', 'BAD.example.', '[::1]', '[::1', 'é'];
  const moreHosts = [
    'bad.example:80',
    'bad%2eexample',
    'bad.example\xff',
    'a b',
    '*',
    'bad_example',
  ];
  it.each([...hosts, ...moreHosts])('in a host %j', async (host) => {
    const heads = [`GET /x HTTP/1.1\r\nhost: ${host}`, { authority: host }];
    expect(await differences(...heads, { lines: [['host', host]] })).toEqual([]);
  });

  it.each([
    'GET /x\xff HTTP/1.1\r\nhost: a',
    'GET ?x HTTP/1.1\r\nhost: a',
    'GET /x?? HTTP/1.1\r\nhost: a',
    `GET /${'x'.repeat(8_191)} HTTP/1.1\r\nhost: a`,
    `GET /${'x'.repeat(8_192)} HTTP/1.1\r\nhost: a`,
    `GET /x?${'x'.repeat(9_000)} HTTP/1.1\r\nhost: a`,
    'GET http://bad.example HTTP/1.1\r\nhost: a',
    'GET http://a?x HTTP/1.1\r\nhost: bad.example',
    'GET //bad.example/x HTTP/1.1\r\nhost: a',
    'OPTIONS * HTTP/1.1\r\nhost: a',
    'CONNECT a:80 HTTP/1.1\r\nhost: a:80',
    'CONNECT bad.example:80 HTTP/1.1\r\nhost: a:80',
    'GET /x HTTP/1.0',
    'GET /x HTTP/1.0\r\nhost: a',
    'GET /x HTTP/1.0\r\nhost: bad.example',
    'GET /x HTTP/1.1\r\nhost: a\r\ncookie: b=2\r\ncookie: a=1',
    'GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket',
    'GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-role: bb',
    'GET /x HTTP/1.1\r\nhost: a\r\nconnection: x-role\r\nx-role: bb',
    'GET /x HTTP/1.1\r\nhost: a\r\nx-role : bb',
    'GET /x HTTP/1.1\r\nhost: a\r\nX_Role: bb',
    'POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-role\r\ncontent-length: 0',
    'get /x HTTP/1.1\r\nhost: a',
  ])('of %j', async (head) => expect(await differences(head)).toEqual([]));

  it.each<Partial<Http2Request>>([
    { path: '*', method: 'OPTIONS' },
    { path: 'http://bad.example/x' },
    { path: '?x' },
    { path: '/x#/y' },
    { path: '/\xff' },
    { method: 'gEt' },
    { method: 'G T' },
    { method: 'CONNECT' },
    {
      lines: [
        ['cookie', 'b=2'],
        ['cookie', 'a=1'],
      ],
    },
    {
      lines: [
        ['cookie', 'a=1'],
        ['cookie', 'b=2'],
      ],
    },
    { lines: [['te', 'trailers']] },
    { lines: [['connection', 'x-role']] },
  ])('of %j over HTTP/2', async (request) => expect(await differences(request)).toEqual([]));
});
