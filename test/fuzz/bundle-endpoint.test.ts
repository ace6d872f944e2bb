import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decideAnswer } from '../../src/federation/endpoint/decide-answer.ts';
import { buildEntityTag, namesEntityTag } from '../../src/federation/endpoint/entity-tag.ts';
import { asksForAcme } from '../../src/wire/client-hello.ts';
import { closed, EndpointPlace, PATIENCE, until } from '../fakes/endpoint-place.ts';

const tag = buildEntityTag(Buffer.from('{}'));
const other = fc.stringMatching(/^"[!#-~]{0,20}"$/).filter((text) => text !== tag);
const piece = fc.oneof(
  other,
  other.map((text) => `W/${text}`),
  fc.constantFrom(tag, `W/${tag}`, '*', ',', ' ', '"', 'W/', '""', '\t', '\\'),
  fc.string({ maxLength: 8 }),
);

describe('If-None-Match', () => {
  it('names a tag exactly where the list has it', () => {
    const item = fc.oneof(other, fc.constant(tag)).chain((one) => fc.constantFrom(one, `W/${one}`));
    const separator = fc.constantFrom(',', ', ', ' , ', ',,', ', ,\t');
    fc.assert(
      fc.property(fc.array(item, { maxLength: 12 }), separator, (items, by) => {
        const isThere = items.some((one) => one.endsWith(tag) && one.replace('W/', '') === tag);
        expect(namesEntityTag(items.join(by), tag)).toBe(isThere);
      }),
    );
  });

  it('is read in time that grows with its length alone, whatever stands in it', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const named = namesEntityTag(pieces.join(''), tag);
        expect(named && !pieces.some((one) => one.includes(tag) || one === '*')).toBe(false);
      }),
    );
    for (const hostile of [
      '"'.repeat(8_192),
      ', '.repeat(4_096),
      '"",'.repeat(2_730),
      'W/'.repeat(4_096),
    ])
      expect(namesEntityTag(hostile, tag)).toBe(false);
  });
});

it('answers any request with one of five statuses, and the document to its own path alone', () => {
  const body = Buffer.from('{}');
  const documents = new Map([['/bundle', () => ({ body, entityTag: tag, maxAgeSeconds: 1 })]]);
  const target = fc.oneof(
    fc.constantFrom('/bundle', '/bundle?x', 'https://a/bundle', '*', '/'),
    fc.string(),
    fc.webUrl(),
  );
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom('GET', 'HEAD', 'POST'), fc.string()),
      target,
      fc.option(
        fc.array(piece).map((pieces) => pieces.join('')),
        { nil: undefined },
      ),
      (method, at, ifNoneMatch) => {
        const answer = decideAnswer({ method, target: at, ifNoneMatch }, documents);
        expect([200, 304, 404, 405]).toContain(answer.status);
        const isThere = /^(?:https?:\/\/[^/]*)?\/bundle(?:\?|$)/i.test(at);
        expect(answer.status !== 404).toBe(isThere);
        expect(answer.body.length > 0).toBe(isThere && method === 'GET' && answer.status === 200);
      },
    ),
  );
});

/** RFC 7301: extension 16, two lengths, one protocol. */
const acmeAlpn = Uint8Array.of(0, 16, 0, 13, 0, 11, 10, ...Buffer.from('acme-tls/1'));
const bytesWithProtocol = fc
  .record({
    before: fc.uint8Array({ maxLength: 500 }),
    after: fc.uint8Array({ maxLength: 500 }),
    isThere: fc.boolean(),
  })
  .map(({ before, after, isThere }) => ({
    bytes: Buffer.concat([before, isThere ? acmeAlpn : Uint8Array.of(), after]),
    isThere,
  }));

it('takes no bytes for a validation that do not offer its protocol', () => {
  fc.assert(
    fc.property(bytesWithProtocol, ({ bytes, isThere }) => {
      expect(asksForAcme(bytes)).toBe(isThere);
    }),
  );
});

describe('the endpoint', () => {
  let place: EndpointPlace;

  beforeAll(async () => {
    place = await EndpointPlace.create();
    await place.serve({ limits: { maxConnections: 100 } });
  });

  afterAll(() => place.close());

  it('goes on after noise in place of TLS, and of a handshake that was cut or changed', async () => {
    const noise = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 600 }),
      fc.uint8Array({ maxLength: 300 }).map((rest) => Uint8Array.of(22, 3, 1, 1, 44, 1, ...rest)),
    );
    await fc.assert(
      fc.asyncProperty(noise, async (bytes) => {
        const socket = await place.openTcp();
        socket.end(bytes);
        await closed(socket);
      }),
      { numRuns: 60 },
    );
    expect((await place.ask()).status).toBe(200);
    await expect.poll(() => place.connections(), PATIENCE).toBe(0);
  });

  it('answers each line it is sent, and ends the connection where that is no request', async () => {
    const line = fc.oneof(
      fc.tuple(
        fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'CONNECT', 'PRI', 'get', ''),
        fc.oneof(fc.constantFrom('/', '*', 'a:1', '//', '/\u0000', 'https://x/'), fc.string()),
        fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9', ''),
      ),
      fc.string({ maxLength: 60 }).map((text) => [text]),
    );
    const header = fc.constantFrom(
      'Host: x',
      'Host: x\r\nHost: y',
      `If-None-Match: ${tag}`,
      'Content-Length: 1\r\nTransfer-Encoding: chunked',
      'Content-Length: -1',
      'Transfer-Encoding: x',
      'Upgrade: h2c\r\nConnection: upgrade',
      ' folded: x',
      'X\u0000: y',
    );
    await fc.assert(
      fc.asyncProperty(line, fc.array(header, { maxLength: 4 }), async (words, headers) => {
        const text = `${[words.join(' '), 'Connection: close', ...headers].join('\r\n')}\r\n\r\n\r\n\r\n`;
        const asked: { answer?: string } = {};
        void place.exchange(Buffer.from(text, 'latin1')).then((all) => (asked.answer = all));
        // What waits for more has its time.
        await until(() => {
          place.clock.advance(1_000);
          return asked.answer !== undefined;
        });
        const answer = asked.answer ?? '';
        expect(answer === '' || /^HTTP\/1\.1 (?:200|304|400|404|405|431|417) /.test(answer)).toBe(
          true,
        );
      }),
      { numRuns: 80 },
    );
    expect((await place.ask()).status).toBe(200);
    await expect.poll(() => place.connections(), PATIENCE).toBe(0);
  });
});
