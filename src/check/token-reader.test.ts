import { createHmac } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeRevocations } from '../../test/fakes/fake-revocations.ts';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import { makeTokenKey, type TestTokenKey } from '../../test/fakes/test-tokens.ts';
import { emptyBundle, IdScope, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import { type CheckRequest, HttpAttributes } from './check-request.ts';
import { ProtoCursor } from './proto-cursor.ts';
import { writeField } from './proto-writer.ts';
import { type JwtSvidOptions, TokenReader } from './token-reader.ts';

const now = 1_800_000_000_000;
const SERVICE = 'spiffe://a.test/api';
const WEB = 'spiffe://a.test/web';
const own = TrustDomain.parse('a.test');
const foreign = TrustDomain.parse('b.test');
const key = makeTokenKey('k1');
const foreignKey = makeTokenKey('k1');
const good = { sub: WEB, aud: [SERVICE], exp: now / 1000 + 60, iat: now / 1000 };

let trust: FakeTrustMap;
let revocations: FakeRevocations;
let clock: FakeClock;
let reader: TokenReader;
beforeEach(() => {
  trust = new FakeTrustMap(bundleWith(own, key));
  revocations = new FakeRevocations();
  clock = new FakeClock(now);
  reader = readerWith();
});

function bundleWith(trustDomain: TrustDomain, ...keys: readonly TestTokenKey[]) {
  return { ...emptyBundle(trustDomain), jwtAuthorities: keys.map(({ authority }) => authority) };
}

function readerWith(options: Partial<JwtSvidOptions> = {}): TokenReader {
  return new TokenReader({
    header: 'authorization',
    audiences: 'destination',
    trust: () => trust.current(),
    findRevocation: (subject) => revocations.find(subject),
    clock,
    ...options,
  });
}

/** A request with these headers, by turns name and value. */
function requestWith(destination: string | undefined, ...headers: readonly string[]): CheckRequest {
  const entries: Buffer[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const [name = '', value = ''] = headers.slice(at, at + 2);
    entries.push(writeField(1, [writeField(1, name), writeField(3, value)]));
  }
  const nobody = { ip: undefined, port: undefined, principal: undefined, certificate: undefined };
  return {
    source: nobody,
    destination: { ...nobody, principal: destination },
    http: new HttpAttributes(new ProtoCursor(writeField(13, entries))),
    contextExtensions: new Map(),
    metadata: new Map(),
  };
}

function callerBy(token: string, source = 'x', from: TokenReader = reader): string | undefined {
  const request = requestWith(SERVICE, 'authorization', `Bearer ${token}`);
  return from.callerOf(request, source)?.toString();
}

describe('a JWT-SVID in a header', () => {
  it('names the caller (AUTHZ-16, JWT-10, JWT-12)', () => {
    const token = key.token(good);
    expect(callerBy(token)).toBe(WEB);
    expect(callerBy(token)).toBe(WEB);
    const lower = requestWith(SERVICE, 'Authorization', `bearer  ${token}`);
    expect(reader.callerOf(lower, 'x')?.toString()).toBe(WEB);
    const other = readerWith({ header: 'x-svid' });
    expect(other.callerOf(requestWith(SERVICE, 'x-svid', token), 'x')?.toString()).toBe(WEB);
    expect(callerBy(token, 'x', other)).toBeUndefined();
  });

  it('is meant for the service that is called, or for one that is named (JWT-7)', () => {
    const token = key.token({ ...good, aud: ['other', SERVICE] });
    const asked = (service: string | undefined, from = reader) =>
      from.callerOf(requestWith(service, 'authorization', `Bearer ${token}`), 'x')?.toString();
    expect(asked(SERVICE)).toBe(WEB);
    expect(asked('spiffe://a.test/db')).toBe('bad_svid');
    expect(asked('other')).toBe('bad_svid');
    expect(asked(undefined)).toBe('bad_svid');
    expect(asked(undefined, readerWith({ audiences: ['x', 'other'] }))).toBe(WEB);
    expect(asked(SERVICE, readerWith({ audiences: ['x'] }))).toBe('bad_svid');
    expect(callerBy(key.token({ ...good, aud: [] }))).toBeUndefined();
  });

  it('is refused outside of its time, also once it is remembered (JWT-8, JWT-9)', () => {
    expect(callerBy(key.token({ ...good, exp: now / 1000 - 31 }))).toBe('bad_svid');
    expect(callerBy(key.token({ ...good, nbf: now / 1000 + 31 }))).toBe('bad_svid');
    const token = key.token(good);
    expect(callerBy(token)).toBe(WEB);
    clock.advance(90_000);
    expect(callerBy(token)).toBe('bad_svid');
  });

  it('comes to be good when its time comes', () => {
    const token = key.token({ ...good, nbf: now / 1000 + 40 });
    expect(callerBy(token)).toBe('bad_svid');
    clock.advance(10_000);
    expect(callerBy(token)).toBe(WEB);
  });

  it('counts for nobody where it is none: none, HMAC, other members, WIT-SVIDs, noise (JWT-1, JWT-2, JWT-3, JWT-5, WIT-14)', () => {
    const token = key.token(good);
    const [, payload = ''] = token.split('.');
    const none = Buffer.from('{"alg":"none","kid":"k1"}').toString('base64url');
    const hmacHead = Buffer.from('{"alg":"HS256","kid":"k1"}').toString('base64url');
    const hmac = createHmac('sha256', key.authority.publicKey).update(`${hmacHead}.${payload}`);
    for (const bad of [
      `${none}.${payload}.`,
      `${none}.${payload}.AAAA`,
      `${hmacHead}.${payload}.${hmac.digest('base64url')}`,
      key.token(good, { jku: 'https://x' }),
      key.token(good, { typ: 'wit+jwt' }),
      key.token({ ...good, sub: 'alice' }),
      key.token({ ...good, exp: String(good.exp) }),
      'opaque',
      '',
    ]) {
      expect(callerBy(bad)).toBeUndefined();
      expect(callerBy(bad)).toBeUndefined();
    }
    const basic = requestWith(SERVICE, 'authorization', `Basic ${token}`);
    expect(reader.callerOf(basic, 'x')).toBeUndefined();
  });

  it('is refused with a wrong signature, another key or an algorithm that does not fit (JWT-14)', () => {
    const token = key.token(good);
    const forged = `${token.slice(0, -8)}AAAAAAAA`;
    expect(callerBy(forged)).toBe('bad_svid');
    expect(callerBy(forged)).toBe('bad_svid');
    expect(callerBy(makeTokenKey('k1').token(good))).toBe('bad_svid');
    expect(callerBy(key.token(good, { kid: 'k2' }))).toBe('bad_svid');
    expect(callerBy(key.token(good, { alg: 'RS256' }))).toBe('bad_svid');
  });

  it('stands alone and is of a bounded size', () => {
    const token = key.token(good);
    const twice = requestWith(
      SERVICE,
      'authorization',
      `Bearer ${token}`,
      'authorization',
      `Bearer ${token}`,
    );
    expect(reader.callerOf(twice, 'x')).toBe('bad_svid');
    expect(callerBy(`${token},Bearer ${token}`)).toBe('bad_svid');
    expect(callerBy(key.token({ ...good, pad: 'x'.repeat(8_000) }))).toBe('bad_svid');
  });

  it('is of a trust domain that is known, within its scope, by its own keys (JWT-10)', () => {
    const sub = 'spiffe://b.test/web';
    const token = foreignKey.token({ ...good, sub });
    expect(callerBy(token)).toBe('unknown_trust_domain');
    trust.set(trust.current().own, bundleWith(foreign, foreignKey));
    expect(callerBy(token)).toBe(sub);
    expect(callerBy(key.token({ ...good, sub }))).toBe('bad_svid');
    const accept = [IdScope.parse('spiffe://b.test/pay/**', foreign)];
    trust.setTerms(['b.test', { accept, publisherId: undefined }]);
    expect(callerBy(token)).toBe('unknown_trust_domain');
  });

  it('is refused at once when its key leaves the bundle, its ID is revoked, or its key ends', () => {
    const token = key.token(good);
    expect(callerBy(token)).toBe(WEB);
    trust.set(bundleWith(own, makeTokenKey('k2')));
    expect(callerBy(token)).toBe('bad_svid');
    trust.set(bundleWith(own));
    expect(callerBy(token)).toBe('bad_svid');
    trust.set(bundleWith(own, key));
    expect(callerBy(token)).toBe(WEB);
    revocations.revokeId(SpiffeId.parse(WEB), now);
    expect(callerBy(token)).toBe('revoked');
    const later = key.token({ ...good, iat: now / 1000 + 1 });
    expect(callerBy(later)).toBe(WEB);
    expect(callerBy(key.token({ ...good, iat: undefined }))).toBe('revoked');
    const ending = { ...key.authority, expiresAt: now + 10_000 };
    trust.set({ ...emptyBundle(own), jwtAuthorities: [ending] });
    expect(callerBy(later)).toBe(WEB);
    clock.advance(40_000);
    expect(callerBy(later)).toBe('bad_svid');
  });

  it('has no effect on others when it is forged many times', () => {
    const known = key.token(good);
    expect(callerBy(known, 'flood')).toBe(WEB);
    const forger = makeTokenKey('k1');
    for (let count = 0; count < 101; count++) {
      expect(callerBy(forger.token({ ...good, count }), 'flood')).toBe('bad_svid');
    }
    const fresh = key.token({ ...good, fresh: true });
    expect(callerBy(fresh, 'flood')).toBe('bad_svid');
    expect(callerBy(known, 'flood')).toBe(WEB);
    expect(callerBy(fresh, 'other')).toBe(WEB);
    clock.advance(1_000);
    expect(callerBy(key.token({ ...good, fresh: 2 }), 'flood')).toBe(WEB);
  });

  it.each([
    ['without exp', { exp: undefined }],
    ['expired', { exp: now / 1000 - 60 }],
    ['of another trust domain', { sub: 'spiffe://c.test/web' }],
    ['of no key', {}],
  ])('costs who sends it, however it is bad: %s', (why, claims) => {
    const members = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`m${at}`, 1]));
    const header = why === 'of no key' ? { kid: 'k9' } : {};
    for (let count = 0; count < 100; count++) {
      callerBy(key.token({ ...good, ...claims, ...members, count }, header), 'flood');
    }
    const fresh = key.token({ ...good, fresh: true });
    expect(callerBy(fresh, 'flood')).toBe('bad_svid');
    expect(callerBy(fresh, 'other')).toBe(WEB);
  });

  it("is told from other issuers' tokens unread, which cost nobody anything", () => {
    for (let count = 0; count < 300; count++) {
      expect(callerBy(key.token({ ...good, sub: 'J\u00f6rg', count }), 'x')).toBeUndefined();
    }
    expect(callerBy(key.token(good), 'x')).toBe(WEB);
    const escaped = JSON.stringify({ ...good, jti: 1 }).replace('spiffe:', '\\u0073piff\\u0065:');
    expect(callerBy(key.token(escaped), 'x')).toBe(WEB);
    const name = JSON.stringify({ ...good, jti: 2 }).replace('"sub":', ' "s\\u0075b"\n: ');
    expect(callerBy(key.token(name), 'x')).toBe(WEB);
    const spaced = JSON.stringify({ ...good, jti: 3 }).replace('"sub":', '\t"sub" \n: ');
    expect(callerBy(key.token(spaced), 'x')).toBe(WEB);
  });

  it('is verified with RSA keys of at most 4096 bits', () => {
    const [usual, huge] = [makeTokenKey('r1', 2048), makeTokenKey('r2', 4104)];
    trust.set(bundleWith(own, usual, huge));
    expect(callerBy(usual.token(good))).toBe(WEB);
    expect(callerBy(huge.token(good))).toBe('bad_svid');
  });
});
