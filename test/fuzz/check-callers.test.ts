import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallerReader } from '../../src/check/caller-reader.ts';
import { HttpAttributes } from '../../src/check/check-request.ts';
import { ProtoCursor } from '../../src/check/proto-cursor.ts';
import { writeField } from '../../src/check/proto-writer.ts';
import { emptyBundle, TrustDomain } from '../../src/spiffe/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeTrustMap } from '../fakes/fake-trust-map.ts';
import { makeTokenKey } from '../fakes/test-tokens.ts';

const now = 1_800_000_000_000;
const key = makeTokenKey('k1');
const WEB = 'spiffe://a.test/web';
const claims = { sub: WEB, aud: 'spiffe://a.test/api', exp: now / 1000 + 60, iat: now / 1000 };
const good = key.token(claims);
const trust = new FakeTrustMap({
  ...emptyBundle(TrustDomain.parse('a.test')),
  x509Authorities: [{ certificate: new Uint8Array([1]), tainted: false }],
  jwtAuthorities: [key.authority],
});
const reader = new CallerReader({
  trust: () => trust.current(),
  findRevocation: () => undefined,
  needsCertificate: false,
  jwtSvid: { header: 'authorization', audiences: 'destination' },
  xfcc: { trustedHops: 1, proxies: ['spiffe://a.test/gw'] },
  clock: new FakeClock(now),
});
const refusals = new Set(['unauthenticated', 'bad_svid', 'unknown_trust_domain', 'revoked']);

const damaged = fc
  .tuple(fc.nat(good.length - 1), fc.integer({ min: 0x20, max: 0x7e }))
  .map(([at, code]) => good.slice(0, at) + String.fromCharCode(code) + good.slice(at + 1));
const token = fc.oneof(
  damaged,
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.json().map((text) => `${Buffer.from(text).toString('base64url')}.e30.AAAA`),
);
const line = fc.record({
  name: fc.constantFrom('authorization', 'Authorization', 'x-forwarded-client-cert'),
  value: fc.oneof(
    token.map((text) => `Bearer ${text}`),
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constant('URI=spiffe://a.test/other'),
  ),
});
const peer = fc.record({
  principal: fc.constantFrom(undefined, 'spiffe://a.test/gw', 'spiffe://b.test/x', 'CN=x', WEB),
  certificate: fc.option(fc.string({ unit: 'binary', maxLength: 60 }), { nil: undefined }),
});

describe('who calls', () => {
  it('is told of any headers and certificates without a failure; nobody is whom no good token names', () => {
    fc.assert(
      fc.property(peer, fc.array(line, { maxLength: 3 }), (source, lines) => {
        const entries = lines.map(({ name, value }) =>
          writeField(1, [writeField(1, name), writeField(3, value)]),
        );
        const { caller, tokenCaller, credential } = reader.callersOf({
          source: { ip: '10.0.0.1', port: 1, ...source },
          destination: { ip: '', port: 1, principal: claims.aud, certificate: undefined },
          http: new HttpAttributes(new ProtoCursor(writeField(13, entries))),
          contextExtensions: new Map(),
          metadata: new Map(),
        });
        const isWhole = lines.some(({ value }) => value.includes(good));
        expect(isWhole || tokenCaller === undefined).toBe(true);
        const isById = source.principal?.startsWith('spiffe://a.test/') === true;
        const isExplained =
          typeof caller === 'string'
            ? refusals.has(caller)
            : credential === 'jwt-svid'
              ? isWhole
              : isById;
        expect(isExplained).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });
});
