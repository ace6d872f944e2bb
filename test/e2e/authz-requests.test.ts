import { once } from 'node:events';
import { connect as connectHttp2, type OutgoingHttpHeaders } from 'node:http2';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestCertificate } from '../fakes/test-certificates.ts';
import { policyOf, WEB } from '../fakes/test-policies.ts';
import { type AuthzGround, openAuthzGround } from '../programs/authz-ground.ts';
import { pathSettings } from '../programs/path-matrix.ts';
import { exchange } from '../programs/raw-exchange.ts';

const MAX_BODY = 1_000;
const body = { max_request_bytes: MAX_BODY, allow_partial_message: false, pack_as_bytes: true };
const usual = {
  ...pathSettings.reject,
  strip_any_host_port: true,
  strip_trailing_host_dot: true,
};

let ground: AuthzGround;
let certificate: TestCertificate;
beforeAll(async () => {
  ground = await openAuthzGround({
    listeners: [
      { name: 'bare' },
      { name: 'joined', rawHeaders: false },
      { name: 'usual', manager: usual },
      { name: 'rejecting', underscores: 'REJECT_REQUEST' },
      {
        name: 'tunnels',
        isConnect: true,
        manager: { upgrade_configs: [{ upgrade_type: 'websocket' }, { upgrade_type: 'CONNECT' }] },
      },
      { name: 'whole-bodies', authz: { with_request_body: body } },
      {
        name: 'partial-bodies',
        authz: { with_request_body: { ...body, allow_partial_message: true } },
      },
      {
        name: 'large-headers',
        manager: { max_request_headers_kb: 1_024 },
        authz: { with_request_body: { ...body, max_request_bytes: 500_000 } },
      },
    ],
  });
  certificate = await ground.issue({ uris: [WEB] });
});
afterAll(async () => await ground.close());
beforeEach(() => {
  ground.policies = [policyOf([{ allow: ['ANY /**'] }, { deny: [{ hosts: ['admin.example'] }] }])];
});

interface Outcome {
  readonly status: number;
  /** Undefined: the proxy did not ask. */
  readonly reason: string | undefined;
  /** What reached the application. */
  readonly reached: readonly string[];
  readonly body: string;
}

async function send(listener: string, bytes: string | Buffer): Promise<Outcome> {
  const { records, reached } = ground;
  const before = { records: records.length, reached: reached.length };
  const answer = await exchange(await ground.dial(listener, { certificate }), bytes);
  const reason = records.slice(before.records).at(-1)?.decision.reason;
  return { ...answer, reason, reached: reached.slice(before.reached) };
}

function head(line: string, ...headers: readonly string[]): string {
  return [`${line} HTTP/1.1`, ...headers, 'connection: close', '', ''].join('\r\n');
}

/** Status and reason. */
async function told(listener: string, bytes: string): Promise<string> {
  const { status, reason, reached } = await send(listener, bytes);
  expect(reached.length > 0).toBe(status === 200);
  return `${status} ${reason ?? 'unasked'}`;
}

describe.each(['bare', 'joined', 'usual'])('hosts, told %s', (listener) => {
  it.each([
    'admin.example',
    'ADMIN.example',
    'admin.example.',
    'admin.example:443',
    'admin.example.:8080',
    'admin.example:',
    'admin.example\t',
  ])('%j is the one that is denied (AUTHZ-6)', async (host) => {
    expect(await told(listener, head('GET /x', `host: ${host}`))).toBe('403 denied_by_rule');
  });

  it.each([
    'x@admin.example',
    'admin.example:abc',
    'admin.example,b.example',
    'admin%2eexample',
    '.admin.example',
    'admin..example',
    'admin.example;a',
    '[::1',
    '*',
  ])('%j is refused (AUTHZ-6)', async (host) => {
    expect(await told(listener, head('GET /x', `host: ${host}`))).toBe('403 non_canonical_host');
  });

  it.each([
    'admin.example/x',
    'admin.example?',
    'a admin.example',
    'admin.example\\',
    'admin.e\u00e9',
  ])('%j is none for the proxy', async (host) => {
    expect(await told(listener, head('GET /x', `host: ${host}`))).toBe('400 unasked');
  });

  it('of two lines is none that anybody could tell (AUTHZ-6)', async () => {
    for (const lines of [
      ['host: b.example', 'host: admin.example'],
      ['host: admin.example', 'host: b.example'],
      ['host: b.example', 'Host: b.example'],
    ]) {
      expect(await told(listener, head('GET /x', ...lines))).toBe('403 non_canonical_host');
    }
  });

  it('of an absolute target takes the place of the header', async () => {
    for (const authority of ['admin.example', 'ADMIN.example:80', 'x:y@admin.example']) {
      const line = head(`GET http://${authority}/x`, 'host: b.example');
      expect(await told(listener, line)).toBe('403 denied_by_rule');
    }
    const other = head('GET http://b.example/x', 'host: admin.example');
    expect(await told(listener, other)).toBe('200 allowed_by_rule');
  });

  it('is missing without a request that is asked about', async () => {
    expect(await told(listener, head('GET /x'))).toBe('400 unasked');
    expect(await told(listener, head('GET /x', 'host:'))).toBe('200 allowed_by_rule');
    ground.policies = [policyOf([{ allow: [{ hosts: ['**'] }] }])];
    expect(await told(listener, head('GET /x', 'host:'))).toBe('403 no_rule_matched');
  });
});

describe('methods and targets', () => {
  it('TRACE and OPTIONS need a rule like any other', async () => {
    ground.policies = [policyOf([{ allow: ['GET /**', 'OPTIONS /cors'] }])];
    const at = 'host: b.example';
    expect(await told('bare', head('OPTIONS /cors', at))).toBe('200 allowed_by_rule');
    for (const line of ['TRACE /x', 'OPTIONS /x', 'TRACE /cors', 'DELETE /x'])
      expect(await told('bare', head(line, at))).toBe('403 no_rule_matched');
    for (const line of ['get /x', 'Get /x', 'ANY /x', 'GET, /x', 'FOO /x'])
      expect(await told('bare', head(line, at))).toBe('400 unasked');
  });

  it('no header makes it another method or path for us', async () => {
    ground.policies = [policyOf([{ allow: ['GET /x'] }])];
    const more = ['x-http-method-override: GET', 'x-original-url: /x', 'x-rewrite-url: /x'];
    for (const line of ['POST /x', 'GET /y'])
      expect(await told('bare', head(line, 'host: b.example', 'content-length: 0', ...more))).toBe(
        '403 no_rule_matched',
      );
  });

  it('what is no path does not come to be asked (AUTHZ-6)', async () => {
    for (const [target, status] of [
      ['*', 404],
      ['', 400],
      ['x', 400],
      ['?a', 400],
      ['http://', 400],
      ['/x y', 400],
      ['/x?a#b', 400],
    ] as const) {
      const answer = await told('bare', head(`OPTIONS ${target}`, 'host: b.example'));
      expect([target, answer]).toEqual([target, `${status} unasked`]);
    }
    expect(await told('bare', head('GET //b/x', 'host: b.example'))).toBe('403 non_canonical_path');
  });

  it('an upgrade is asked about as the request it is; CONNECT has no path and is refused', async () => {
    const socket = (host: string) =>
      `GET /x HTTP/1.1\r\nhost: ${host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;
    expect(await told('tunnels', socket('admin.example'))).toBe('403 denied_by_rule');
    const { reason, reached } = await send('tunnels', socket('b.example'));
    expect([reason, reached]).toEqual(['allowed_by_rule', ['GET /x']]);
    ground.policies = [policyOf([{ allow: ['GET /**'] }], { request: { body: { maxBytes: 0 } } })];
    expect(await told('tunnels', socket('b.example'))).toBe('403 body_too_large');
    ground.policies = [policyOf([{ allow: ['ANY /**', { hosts: ['**'] }] }])];
    const tunnel = 'CONNECT b.example:443 HTTP/1.1\r\nhost: b.example:443\r\n\r\n';
    expect(await told('tunnels', tunnel)).toBe('403 non_canonical_path');
  });

  it('a smuggled length, a bad line and a name of other bytes do not come to be asked', async () => {
    for (const line of [
      'content-length: 4\r\ntransfer-encoding: chunked',
      'content-length: 1\r\ncontent-length: 2',
      'x-a : b',
      'x-\u00fc: a',
      'x-a: \x01',
    ])
      expect(await told('bare', head('POST /x', 'host: b.example', line))).toBe('400 unasked');
  });
});

describe.each(['bare', 'joined'])('repeated headers, told %s', (listener) => {
  const rules = [
    { allow: ['GET /every'], when: { headers: { 'x-ticket': 'INC-*' } } },
    { allow: ['GET /deny'] },
    { deny: ['GET /deny'], when: { headers: { 'x-evil': 'yes' } } },
  ];
  const lines = async (target: string, ...headers: readonly string[]) => {
    ground.policies = [policyOf(rules)];
    return await told(listener, head(`GET ${target}`, 'host: b.example', ...headers));
  };

  it('allow with every line, and deny with one (AUTHZ-6)', async () => {
    expect(await lines('/every', 'x-ticket: INC-1')).toBe('200 allowed_by_rule');
    expect(await lines('/every', 'x-ticket: INC-1', 'X-Ticket: INC-2')).toBe('200 allowed_by_rule');
    for (const headers of [
      ['x-ticket: INC-1', 'x-ticket: other'],
      ['x-ticket: other', 'X-TICKET: INC-1'],
      ['x_ticket: INC-1'],
      ['x-ticket:'],
      [],
    ])
      expect(await lines('/every', ...headers)).toBe('403 no_rule_matched');
    for (const headers of [
      ['x-evil: yes'],
      ['x-evil: no', 'x-evil: yes'],
      ['X-Evil: yes', 'x-evil: no'],
    ])
      expect(await lines('/deny', ...headers)).toBe('403 denied_by_rule');
  });

  it('count as they are told: joined, of a value with commas each part counts too (AUTHZ-6)', async () => {
    expect(await lines('/every', 'x-ticket: INC-1, other')).toBe(
      listener === 'joined' ? '403 no_rule_matched' : '200 allowed_by_rule',
    );
    expect(await lines('/deny', 'x-evil: no, yes')).toBe(
      listener === 'joined' ? '403 denied_by_rule' : '200 allowed_by_rule',
    );
  });

  it('of bytes that are no UTF-8 are no text that a rule names', async () => {
    expect(await lines('/every', 'x-ticket: INC-\xff')).toBe('200 allowed_by_rule');
    ground.policies = [policyOf([{ allow: ['GET /x'], when: { headers: { 'x-a': '\u00ff' } } }])];
    expect(await told(listener, head('GET /x', 'host: b.example', 'x-a: \xff'))).toBe(
      '403 no_rule_matched',
    );
  });
});

it('names with "_" need not come to be asked', async () => {
  const line = head('GET /x', 'host: b.example', 'x_user: root');
  expect(await told('rejecting', line)).toBe('400 unasked');
  expect(await told('bare', line)).toBe('200 allowed_by_rule');
});

describe('what is large', () => {
  it('headers of a megabyte: asked about where the proxy takes them, and bounded', async () => {
    const of = (bytes: number) =>
      head('GET /x', 'host: b.example', `x-large: ${'a'.repeat(bytes)}`);
    expect(await told('bare', of(1_000_000))).toBe('431 unasked');
    expect(await told('large-headers', of(400_000))).toBe('200 allowed_by_rule');
    const lines = Array.from({ length: 90 }, (_, at) => `x-${at}: ${'a'.repeat(11_000)}`);
    const large = head('POST /x', 'host: b.example', 'content-length: 500000', ...lines);
    expect(await told('large-headers', large.replace('500000', '0'))).toBe('200 allowed_by_rule');
    // A message of more than 1 MiB is refused, which the proxy takes for a failure.
    const both = `${large}${'a'.repeat(500_000)}`;
    expect(await told('large-headers', both)).toBe('403 unasked');
    expect(await told('bare', head('GET /x', 'host: b.example'))).toBe('200 allowed_by_rule');
  });

  it('bodies: refused by the proxy beyond its buffer, asked about with a piece, or with the whole', async () => {
    const post = (bytes: number) =>
      `${head('POST /x', 'host: b.example', `content-length: ${bytes}`)}${'a'.repeat(bytes)}`;
    expect(await told('whole-bodies', post(MAX_BODY))).toBe('200 allowed_by_rule');
    expect(await told('whole-bodies', post(2_000_000))).toBe('413 unasked');
    expect(await told('partial-bodies', post(2_000_000))).toBe('200 allowed_by_rule');
    ground.policies = [
      policyOf([{ allow: ['POST /x'] }], { request: { body: { maxBytes: MAX_BODY } } }),
    ];
    expect(await told('partial-bodies', post(MAX_BODY))).toBe('200 allowed_by_rule');
    expect(await told('partial-bodies', post(MAX_BODY + 1))).toBe('403 body_too_large');
  });

  it('trailers are no headers: what they say is not asked about, nor mapped', async () => {
    ground.policies = [
      policyOf([{ allow: ['POST /x'], when: { headers: { 'x-ticket': 'INC-1' } } }]),
    ];
    const chunked = ['host: b.example', 'transfer-encoding: chunked', 'trailer: x-ticket'];
    const sent = `${head('POST /x', ...chunked)}1\r\na\r\n0\r\nx-ticket: INC-1\r\n\r\n`;
    expect(await told('bare', sent)).toBe('403 no_rule_matched');
  });
});

/** One request over HTTP/2: the headers of the answer, and its body. */
async function over2(listener: string, headers: OutgoingHttpHeaders) {
  const socket = await ground.dial(listener, { certificate, alpn: ['h2'] });
  const session = connectHttp2('https://b.example', { createConnection: () => socket });
  const stream = session.request({ ':authority': 'b.example', ...headers });
  stream.end();
  const [answered]: Record<string, unknown>[] = await once(stream, 'response');
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  session.destroy();
  return { answered: answered ?? {}, body: Buffer.concat(chunks).toString() };
}

describe('HTTP/2', () => {
  it('is decided like HTTP/1.1 (AUTHZ-6)', async () => {
    ground.policies = [policyOf([{ allow: ['ANY /**'] }, { deny: ['/admin'] }])];
    const statusOf = async (path: string, authority = 'b.example') =>
      (await over2('bare', { ':path': path, ':authority': authority })).answered[':status'];
    expect(await statusOf('/x')).toBe(200);
    for (const path of ['/admin', '//admin', '/x/../admin', '/%61dmin', '/admin;v=1', '/\\admin'])
      expect([path, await statusOf(path)]).toEqual([path, 403]);
    expect(await statusOf('/x', 'a,b')).toBe(403);
  });

  const grpc = {
    ':method': 'POST',
    ':path': '/a.B/Get',
    'content-type': 'application/grpc+proto',
    te: 'trailers',
  };

  it.each([
    [401, '16'],
    [403, '7'],
    [429, '14'],
    [503, '14'],
  ])('tells gRPC callers %i as a status of gRPC (AUTHZ-7)', async (status, code) => {
    const rules = [{ allow: [{ grpc: ['a.B/List'] }] }];
    ground.policies = [policyOf(rules, { response: { deny: { status } } })];
    const { answered, body } = await over2('bare', grpc);
    expect(answered).toMatchObject({ ':status': 200, 'grpc-status': code });
    // Nothing of the policy, and nothing that would have to be percent-encoded.
    expect(answered['grpc-message']).toMatch(/^[A-Za-z ]{1,20}$/u);
    expect(body).toBe('');
    const plain = await over2('bare', { ':path': '/a.B/Get' });
    expect(plain.answered[':status']).toBe(status);
  });

  it('matches gRPC methods by their case, with their content type alone', async () => {
    ground.policies = [policyOf([{ allow: [{ grpc: ['a.B/Get'] }] }])];
    const codeOf = async (more: OutgoingHttpHeaders) => {
      const { answered } = await over2('bare', { ...grpc, ...more });
      return [answered[':status'], answered['grpc-status'] ?? ''].join(' ');
    };
    expect(await codeOf({})).toBe('200 ');
    expect(await codeOf({ ':path': '/a.B/get' })).toBe('200 7');
    expect(await codeOf({ ':path': '/a.b/Get' })).toBe('200 7');
    expect(await codeOf({ ':path': '/a.B/Get/' })).toBe('200 7');
    expect(await codeOf({ ':path': '/a.B//Get' })).toBe('200 7');
    expect(await codeOf({ ':path': '/x.a.B/Get' })).toBe('200 7');
    expect(await codeOf({ 'content-type': 'application/json' })).toBe('403 ');
    expect(await codeOf({ ':method': 'GET' })).not.toBe('200 ');
  });
});
