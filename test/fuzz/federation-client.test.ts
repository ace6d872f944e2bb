import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { fetchBundle } from '../../src/federation/client/fetch-bundle.ts';
import { isPublicAddress } from '../../src/federation/client/public-address.ts';
import { parseRedirect } from '../../src/federation/client/redirect.ts';
import {
  type Bundle,
  bundlesEqual,
  SpiffeId,
  serializeBundleDocument,
  TrustDomain,
} from '../../src/spiffe/index.ts';
import { BundleEndpoint, ForeignDomain } from '../fakes/bundle-endpoint.ts';
import { codeOf } from '../fakes/code-of.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { attempt } from './attempt.ts';

const name = TrustDomain.parse('b.test');
let b: ForeignDomain;
beforeAll(async () => {
  b = await ForeignDomain.create('b.test');
});

const fetching = (endpoint: BundleEndpoint) =>
  fetchBundle({
    trustDomain: name,
    url: endpoint.url(),
    trust: {
      type: 'https_spiffe',
      endpointSpiffeId: SpiffeId.parse(b.serverId),
      bundle: b.bundle(),
    },
    etag: '"known"',
    maxRedirects: 1,
    clock: new FakeClock(Date.now()),
    signal: new AbortController().signal,
    onPresented: () => {},
  });

const status = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('200 OK', '304 Not Modified', '302 Found') },
  fc.integer({ min: 0, max: 9_999 }).map(String),
  fc.string(),
);
const headerNames = [
  'Content-Length',
  'Transfer-Encoding',
  'Content-Encoding',
  'Location',
  'ETag',
  'Connection',
  'Trailer',
  'X',
];
const headerValue = fc.oneof(
  fc.constantFrom('chunked', 'identity', 'gzip', '0', '5', '-1', '"v"', '/x', 'http://x/', 'close'),
  fc.nat({ max: 3_000 }).map(String),
  fc.string(),
);
const header = fc.oneof(
  fc.tuple(fc.constantFrom(...headerNames), headerValue).map(([key, value]) => `${key}: ${value}`),
  fc.string(),
);

describe('whatever an endpoint answers', () => {
  it('is a bundle, the word that nothing has changed, or refused on purpose', async () => {
    const document = serializeBundleDocument(b.bundle({ sequenceNumber: 3n }));
    let taken = 0;
    let raw = Buffer.alloc(0);
    const endpoint = await BundleEndpoint.open(await b.svid(), ({ socket }) => socket.end(raw));
    const body = fc.oneof(
      { weight: 4, arbitrary: fc.constant(document) },
      fc.nat({ max: document.length }).map((length) => document.slice(0, length)),
      fc.constant(`${Buffer.byteLength(document).toString(16)}\r\n${document}\r\n0\r\n\r\n`),
      fc.string({ unit: 'binary' }),
    );
    await fc.assert(
      fc.asyncProperty(
        status,
        fc.array(header, { maxLength: 4 }),
        body,
        async (said, headers, text) => {
          raw = Buffer.from([`HTTP/1.1 ${said}`, ...headers, '', text].join('\r\n'), 'latin1');
          let read: Bundle | 'unchanged' | undefined;
          const code = await codeOf(async () => {
            read = (await fetching(endpoint)).document?.bundle ?? 'unchanged';
          });
          if (read === undefined) return /^ERR_(?:FETCH_|JSON|BUNDLE)/u.test(code ?? '');
          if (read === 'unchanged') return said.startsWith('304');
          taken++;
          // Of whatever framing, what is read is the whole document and nothing else.
          return bundlesEqual(read, b.bundle({ sequenceNumber: 3n }));
        },
      ),
      { numRuns: 600 },
    );
    expect(taken).toBeGreaterThan(20);
  });
});

describe('whatever a redirect says', () => {
  it('leads to an https URL that everybody reads the same, or is refused (FED-14)', () => {
    let followed = 0;
    const from = 'https://b.test:8443/dir/bundle?x=1';
    const location = fc.oneof(
      fc.webUrl({
        validSchemes: ['https', 'http'],
        withFragments: true,
        withQueryParameters: true,
      }),
      fc.webPath(),
      fc.string().map((noise) => `https://b.test${noise}`),
      fc.string().map((noise) => `//${noise}`),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(location, (said) => {
        const url = attempt(() => parseRedirect([said], from));
        if (url === undefined) return;
        followed++;
        const { protocol, username, password, hash } = new URL(url);
        expect([protocol, username, password, hash]).toEqual(['https:', '', '', '']);
        expect(new URL(said, from).href).toBe(new URL(url).href);
      }),
      { numRuns: 5_000 },
    );
    expect(followed).toBeGreaterThan(500);
  });
});

describe('a public address', () => {
  it('is none of the networks around a server, in whatever form they are written', () => {
    const within = [
      fc.ipV4().map((address) => address.replace(/^\d+/u, '10')),
      fc.ipV4().map((address) => address.replace(/^\d+/u, '127')),
      fc.ipV4().map((address) => address.replace(/^\d+\.\d+/u, '169.254')),
      fc.ipV4().map((address) => address.replace(/^\d+\.\d+/u, '192.168')),
      fc.ipV4().map((address) => `::ffff:${address.replace(/^\d+\.\d+/u, '172.16')}`),
      fc.ipV4().map((address) => `::ffff:${address.replace(/^\d+\.\d+/u, '100.64')}`),
      fc.constantFrom('::', '::1', 'fe80::1', 'fc00::1', 'fd12::1', 'ff02::1', '64:ff9b::a00:1'),
      fc.constantFrom('2001:db8::1', '2002:a00:1::', '2001::1', '', 'x'),
    ];
    fc.assert(fc.property(fc.oneof(...within), (address) => !isPublicAddress(address)));
    for (const address of ['1.1.1.1', '::ffff:8.8.8.8', '2606:4700::1111', '172.32.0.1'])
      expect(isPublicAddress(address)).toBe(true);
  });
});
