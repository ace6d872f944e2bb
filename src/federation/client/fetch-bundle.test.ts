import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  answerWith,
  BundleEndpoint,
  ForeignDomain,
  openBlackHole,
  redirectTo,
  WebAuthority,
} from '../../../test/fakes/bundle-endpoint.ts';
import { codeOf } from '../../../test/fakes/code-of.ts';
import { FakeClock } from '../../../test/fakes/fake-clock.ts';
import { type ErrorCode, encodePem, SpiffeId, TrustDomain } from '../../spiffe/index.ts';
import { connectEndpoint, type Presented } from './connect-endpoint.ts';
import type { EndpointTrust } from './endpoint-trust.ts';
import { type BundleRequest, fetchBundle } from './fetch-bundle.ts';

let b: ForeignDomain;
let c: ForeignDomain;
let web: WebAuthority;
beforeAll(async () => {
  b = await ForeignDomain.create('b.test');
  c = await ForeignDomain.create('c.test');
  web = await WebAuthority.create();
});

const coded = (code: ErrorCode) => expect.objectContaining({ code });
const spiffe = (domain = b, bundle = domain.bundle()): EndpointTrust => ({
  type: 'https_spiffe',
  endpointSpiffeId: SpiffeId.parse(domain.serverId),
  bundle,
});
const webTrust = (): EndpointTrust => ({ type: 'https_web', ca: web.pem });

function fetching(url: string, trust: EndpointTrust, more: Partial<BundleRequest> = {}) {
  return fetchBundle({
    trustDomain: TrustDomain.parse('b.test'),
    url,
    trust,
    etag: undefined,
    maxRedirects: 3,
    clock: new FakeClock(Date.now()),
    signal: new AbortController().signal,
    onPresented: () => {},
    ...more,
  });
}

const serveSpiffe = async (answer = answerWith(b.bundle({ sequenceNumber: 7n }))) =>
  await BundleEndpoint.open(await b.svid(), answer);
const serveWeb = async (answer = answerWith(b.bundle()), name = 'localhost') =>
  await BundleEndpoint.open(await web.identity(name), answer);

describe('an https_spiffe endpoint', () => {
  it('is believed for exactly its SPIFFE ID, whatever its address (FED-16)', async () => {
    const endpoint = await serveSpiffe();
    const seen: Presented[] = [];
    const onPresented = (presented: Presented) => void seen.push(presented);
    const { document } = await fetching(endpoint.url(), spiffe(), { onPresented });
    expect(document?.bundle).toEqual(b.bundle({ sequenceNumber: 7n }));
    expect(seen).toMatchObject([{ url: endpoint.url(), address: '127.0.0.1', chain: [{}] }]);
    expect(endpoint.requests).toMatchObject([
      { host: `127.0.0.1:${endpoint.port}`, 'accept-encoding': 'identity' },
    ]);
    expect(endpoint.requests[0]).not.toHaveProperty('if-none-match');
  });

  it('with the right authority and another ID is refused before it is asked (FED-16)', async () => {
    const endpoint = await BundleEndpoint.open(await b.svid('spiffe://b.test/other'), () => {});
    const seen: Presented[] = [];
    const onPresented = (presented: Presented) => void seen.push(presented);
    await expect(fetching(endpoint.url(), spiffe(), { onPresented })).rejects.toEqual(
      coded('ERR_TLS_SERVER_ID'),
    );
    expect(seen).toHaveLength(1);
    expect(endpoint.requests).toEqual([]);
  });

  it('is not believed by another bundle than that of its trust domain (FED-9)', async () => {
    const endpoint = await serveSpiffe();
    await expect(fetching(endpoint.url(), spiffe(b, c.bundle()))).rejects.toEqual(
      coded('ERR_X509_TRUST_DOMAIN'),
    );
    const forged = { ...b.bundle(), x509Authorities: c.bundle().x509Authorities };
    await expect(fetching(endpoint.url(), spiffe(b, forged))).rejects.toEqual(
      coded('ERR_X509_UNTRUSTED'),
    );
  });

  it('with an SVID that has expired is refused', async () => {
    const past = { notBefore: Date.now() - 9_000, notAfter: Date.now() - 5_000 };
    const endpoint = await BundleEndpoint.open(await b.svid(b.serverId, past), () => {});
    await expect(fetching(endpoint.url(), spiffe())).rejects.toEqual(coded('ERR_X509_EXPIRED'));
  });

  it('with a certificate of Web PKI alone is refused: there is no other profile (FED-3)', async () => {
    const endpoint = await serveWeb();
    await expect(fetching(endpoint.url('localhost'), spiffe())).rejects.toEqual(
      coded('ERR_X509_URI_SAN'),
    );
    expect(endpoint.requests).toEqual([]);
  });

  it('may be of another trust domain, by that bundle (FED-17)', async () => {
    const endpoint = await BundleEndpoint.open(await c.svid(), answerWith(b.bundle()));
    const { document } = await fetching(endpoint.url(), spiffe(c));
    expect(document?.bundle).toEqual(b.bundle());
  });
});

describe('an https_web endpoint', () => {
  it('is believed for the host of its URL (FED-10)', async () => {
    const endpoint = await serveWeb();
    expect((await fetching(endpoint.url('localhost'), webTrust())).document).toBeDefined();
    expect((await fetching(endpoint.url('LOCALHOST'), webTrust())).document).toBeDefined();
  });

  it.each(['127.0.0.1', 'localhost'])(
    'with a certificate for another name than %s is refused (FED-10)',
    async (host) => {
      const endpoint = await serveWeb(answerWith(''), 'b.example');
      await expect(fetching(endpoint.url(host), webTrust())).rejects.toMatchObject({
        code: 'ERR_FETCH_TLS',
        message: expect.stringContaining('b.example'),
      });
      expect(endpoint.requests).toEqual([]);
    },
  );

  it('is not known by the common name of its subject', async () => {
    const identity = await web.identity('localhost', { dns: [] });
    const endpoint = await BundleEndpoint.open(identity, answerWith(b.bundle()));
    await expect(fetching(endpoint.url('localhost'), webTrust())).rejects.toEqual(
      coded('ERR_FETCH_TLS'),
    );
  });

  it('of an authority that nobody trusts is refused, even for the right SPIFFE ID (FED-3)', async () => {
    const identity = await b.svid(b.serverId, { dns: ['localhost'] });
    const endpoint = await BundleEndpoint.open(identity, answerWith(b.bundle()));
    for (const ca of [undefined, web.pem])
      await expect(fetching(endpoint.url('localhost'), { type: 'https_web', ca })).rejects.toEqual(
        coded('ERR_FETCH_TLS'),
      );
    expect(endpoint.requests).toEqual([]);
  });

  it('whose certificate is for clients, or has expired, is refused', async () => {
    const past = { notBefore: Date.now() - 9_000, notAfter: Date.now() - 5_000 };
    for (const more of [{ extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'] }, past]) {
      const identity = await web.identity('localhost', more);
      const endpoint = await BundleEndpoint.open(identity, answerWith(b.bundle()));
      await expect(fetching(endpoint.url('localhost'), webTrust())).rejects.toEqual(
        coded('ERR_FETCH_TLS'),
      );
    }
  });

  it('may be believed by a private authority in place of the public ones', async () => {
    const endpoint = await serveWeb();
    const ca = encodePem('CERTIFICATE', c.authority.der);
    await expect(fetching(endpoint.url('localhost'), { type: 'https_web', ca })).rejects.toEqual(
      coded('ERR_FETCH_TLS'),
    );
  });
});

describe('a connection', () => {
  it('is never resumed, so that each is judged', async () => {
    const endpoint = await serveSpiffe();
    for (let i = 0; i < 3; i++) await fetching(endpoint.url(), spiffe());
    expect(endpoint.requests).toHaveLength(3);
    expect(endpoint.resumed).toBe(0);
  });

  it('to a public address is not led to one of the own network', async () => {
    const endpoint = await serveSpiffe();
    await expect(
      connectEndpoint(endpoint.url(), {
        trust: spiffe(),
        clock: new FakeClock(Date.now()),
        signal: new AbortController().signal,
        mustBePublic: true,
        onPresented: () => {},
      }),
    ).rejects.toEqual(coded('ERR_FETCH_REDIRECT'));
  });

  it('that nobody takes is an error that says so', async () => {
    const endpoint = await serveSpiffe();
    const url = `https://127.0.0.1:${endpoint.port === 1 ? 2 : 1}/`;
    await expect(fetching(url, spiffe())).rejects.toEqual(coded('ERR_FETCH_UNREACHABLE'));
    await expect(fetching('https://no-such-name.invalid/', spiffe())).rejects.toEqual(
      coded('ERR_FETCH_UNREACHABLE'),
    );
  });

  it('that is accepted and never answered ends after 10 s', async () => {
    const clock = new FakeClock(Date.now());
    const url = await openBlackHole();
    const code = codeOf(() => fetching(url, spiffe(), { clock }));
    clock.advance(10_000);
    expect(await code).toBe('ERR_FETCH_TIMEOUT');
    expect(clock.timers).toBe(0);
  });

  it('whose answer drips ends after 30 s', async () => {
    const clock = new FakeClock(Date.now());
    const { promise, resolve } = Promise.withResolvers<void>();
    const endpoint = await serveSpiffe((_, response) => {
      response.writeHead(200).write('{"keys"');
      resolve();
    });
    const code = codeOf(() => fetching(endpoint.url(), spiffe(), { clock }));
    await promise;
    clock.advance(30_000);
    expect(await code).toBe('ERR_FETCH_TIMEOUT');
    expect(clock.timers).toBe(0);
  });

  it('ends when the fetch is called off', async () => {
    const ending = new AbortController();
    const result = fetching(await openBlackHole(), spiffe(), { signal: ending.signal });
    ending.abort(new Error('called off'));
    await expect(result).rejects.toThrow('called off');
    await expect(
      fetching(await openBlackHole(), spiffe(), { signal: ending.signal }),
    ).rejects.toThrow('called off');
  });
});

describe('a redirect', () => {
  it('is followed to where the same server identity answers, and not remembered (FED-14)', async () => {
    const target = await serveSpiffe();
    const endpoint = await serveSpiffe(redirectTo(target.url('localhost'), 301));
    for (let i = 0; i < 2; i++)
      expect((await fetching(endpoint.url(), spiffe())).document).toBeDefined();
    expect(endpoint.requests).toHaveLength(2);
    expect(target.requests).toHaveLength(2);
  });

  it.each([301, 302, 303, 307, 308])('of status %i may be relative', async (status) => {
    const endpoint = await serveWeb();
    endpoint.answer = ({ url }, response) =>
      url === '/bundle'
        ? response.writeHead(status, { location: '../there?x=1' }).end()
        : answerWith(b.bundle())(response.req, response);
    expect((await fetching(endpoint.url('localhost'), webTrust())).document).toBeDefined();
    expect(endpoint.requests).toHaveLength(2);
  });

  it('to a server with another SPIFFE ID is refused (FED-14)', async () => {
    const other = await BundleEndpoint.open(await b.svid('spiffe://b.test/cdn'), () => {});
    const endpoint = await serveSpiffe(redirectTo(other.url()));
    await expect(fetching(endpoint.url(), spiffe())).rejects.toEqual(coded('ERR_TLS_SERVER_ID'));
    expect(other.requests).toEqual([]);
  });

  it('to a host whose certificate is for another is refused (FED-14)', async () => {
    const other = await serveWeb(answerWith(b.bundle()), 'elsewhere.example');
    const endpoint = await serveWeb(redirectTo(other.url('localhost')));
    await expect(fetching(endpoint.url('localhost'), webTrust())).rejects.toEqual(
      coded('ERR_FETCH_TLS'),
    );
    expect(other.requests).toEqual([]);
  });

  it.each([
    'http://localhost/bundle',
    'HTTP://localhost/bundle',
    'https://user@localhost/',
    'https://localhost/#x',
    'https:\\\\localhost\\',
    '\\\\localhost/x',
    'ftp://localhost/',
    'file:///etc/passwd',
    'https://',
    '//user@localhost/',
    'https://local host/',
    'https://localhost/é',
    `https://localhost/${'x'.repeat(3_000)}`,
    '',
  ])('to %j is refused (FED-14)', async (location) => {
    const endpoint = await serveWeb((_, response) => {
      response.socket?.end(
        Buffer.from(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`),
      );
    });
    await expect(fetching(endpoint.url('localhost'), webTrust())).rejects.toEqual(
      coded('ERR_FETCH_REDIRECT'),
    );
  });

  it('with two places or none is refused', async () => {
    for (const location of [[], ['/a', '/b']]) {
      const endpoint = await serveWeb((_, response) =>
        response
          .writeHead(
            302,
            location.flatMap((to) => ['location', to]),
          )
          .end(),
      );
      await expect(fetching(endpoint.url('localhost'), webTrust())).rejects.toEqual(
        coded('ERR_FETCH_REDIRECT'),
      );
    }
  });

  it('is followed as often as allowed and no more', async () => {
    const endpoint = await serveWeb(redirectTo('/again'));
    for (const maxRedirects of [0, 1, 3]) {
      endpoint.requests.length = 0;
      await expect(
        fetching(endpoint.url('localhost'), webTrust(), { maxRedirects }),
      ).rejects.toEqual(coded('ERR_FETCH_REDIRECT'));
      expect(endpoint.requests).toHaveLength(maxRedirects + 1);
    }
  });
});

describe('an answer', () => {
  const megabyte = 1_048_576;
  const refusals: [string, ErrorCode, BundleEndpoint['answer']][] = [
    ['404', 'ERR_FETCH_ANSWER', (_, response) => response.writeHead(404).end('{"keys":[]}')],
    ['204', 'ERR_FETCH_ANSWER', (_, response) => response.writeHead(204).end()],
    ['206', 'ERR_FETCH_ANSWER', (_, response) => response.writeHead(206).end('{"keys":[]}')],
    ['304 to no ETag', 'ERR_FETCH_ANSWER', (_, response) => response.writeHead(304).end()],
    ['500', 'ERR_FETCH_ANSWER', (_, response) => response.writeHead(500).end()],
    ['no HTTP', 'ERR_FETCH_ANSWER', ({ socket }) => socket.end('hello\r\n\r\n')],
    ['HTTP/2', 'ERR_FETCH_ANSWER', ({ socket }) => socket.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['nothing', 'ERR_FETCH_ANSWER', ({ socket }) => socket.destroy()],
    [
      'another protocol',
      'ERR_FETCH_ANSWER',
      ({ socket }) => socket.end('HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
    ],
    [
      'less than it says',
      'ERR_FETCH_ANSWER',
      ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"keys":[]}'),
    ],
    [
      'two lengths',
      'ERR_FETCH_ANSWER',
      ({ socket }) =>
        socket.end(
          'HTTP/1.1 200 OK\r\nContent-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n{"keys":[]}',
        ),
    ],
    [
      'headers without end',
      'ERR_FETCH_ANSWER',
      ({ socket }) => socket.end(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n{"keys":[]}`),
    ],
    [
      'trailers without end',
      'ERR_FETCH_ANSWER',
      ({ socket }) =>
        socket.end(
          `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{"keys":[]}\r\n0\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
        ),
    ],
    [
      'a compressed body',
      'ERR_FETCH_ANSWER',
      answerWith(gzipSync('{"keys":[]}'), { 'content-encoding': 'gzip' }),
    ],
    [
      'a length over 1 MiB',
      'ERR_FETCH_TOO_LARGE',
      (_, response) => {
        response.writeHead(200, { 'content-length': megabyte + 1 }).flushHeaders();
      },
    ],
    [
      'more than 1 MiB without a length',
      'ERR_FETCH_TOO_LARGE',
      (_, response) => {
        response.on('error', () => {});
        response.write('x'.repeat(megabyte));
        response.write('x');
      },
    ],
    ['no JSON', 'ERR_JSON', answerWith('<html>')],
    [
      'bytes that are no UTF-8',
      'ERR_JSON',
      answerWith(Buffer.from('{"keys":[],"\xff":1}', 'latin1')),
    ],
    ['no keys', 'ERR_BUNDLE', answerWith('{}')],
  ];

  it.each(refusals)('of %s is refused with %s', async (_, code, answer) => {
    const endpoint = await serveSpiffe(answer);
    await expect(fetching(endpoint.url(), spiffe())).rejects.toEqual(coded(code));
  });

  it('of a document with just 1 MiB is taken', async () => {
    const text = '{"keys":[]}';
    const endpoint = await serveSpiffe(answerWith(text + ' '.repeat(megabyte - text.length)));
    const { document } = await fetching(endpoint.url(), spiffe());
    expect(document?.bundle.x509Authorities).toEqual([]);
  });

  it('may say that nothing has changed since the ETag that was sent', async () => {
    const endpoint = await serveSpiffe(answerWith(b.bundle(), { etag: '"one"' }));
    const { etag } = await fetching(endpoint.url(), spiffe());
    expect(etag).toBe('"one"');
    endpoint.answer = (_, response) => response.writeHead(304).end();
    expect(await fetching(endpoint.url(), spiffe(), { etag })).toEqual({
      document: undefined,
      etag: '"one"',
    });
    expect(endpoint.requests[1]).toMatchObject({ 'if-none-match': '"one"' });
  });

  it.each(['bare', '"sp ace"', `"${'x'.repeat(300)}"`, 'w/"x"'])(
    'with the ETag %j is asked for whole again',
    async (etag) => {
      const endpoint = await serveSpiffe(answerWith(b.bundle(), { etag }));
      expect((await fetching(endpoint.url(), spiffe())).etag).toBeUndefined();
    },
  );
});
