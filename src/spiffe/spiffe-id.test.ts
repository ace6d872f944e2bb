import { describe, expect, it } from 'vitest';
import { isReservedPath, SpiffeId } from './spiffe-id.ts';
import { TrustDomain } from './trust-domain.ts';

const refusal = (code: string) => expect.objectContaining({ code });
const accepts = (text: string): boolean => {
  try {
    return SpiffeId.parse(text).toString() === text;
  } catch {
    return false;
  }
};

describe('SpiffeId', () => {
  it('parses a trust domain and a path, and keeps the text (ID-1)', () => {
    const id = SpiffeId.parse('spiffe://a.test/x');
    expect(id.trustDomain.name).toBe('a.test');
    expect(id.path).toBe('/x');
    expect(id.toString()).toBe('spiffe://a.test/x');
    expect(SpiffeId.parse('spiffe://a.test').isTrustDomainId).toBe(true);
    expect(id.isTrustDomainId).toBe(false);
  });

  it.each([
    ['', 'ERR_SPIFFE_ID_EMPTY'],
    ['http://a/x', 'ERR_SPIFFE_ID_SCHEME'],
    ['spiffe:/a/x', 'ERR_SPIFFE_ID_SCHEME'],
    ['spiffe:a', 'ERR_SPIFFE_ID_SCHEME'],
    ['a.test/x', 'ERR_SPIFFE_ID_SCHEME'],
    [' spiffe://a/x', 'ERR_SPIFFE_ID_SCHEME'],
    ['spiffe://', 'ERR_TRUST_DOMAIN'],
    ['spiffe:///x', 'ERR_TRUST_DOMAIN'],
    ['spiffe://a?q', 'ERR_TRUST_DOMAIN'],
    ['spiffe://a#f', 'ERR_TRUST_DOMAIN'],
    ['spiffe://a/x?q', 'ERR_SPIFFE_ID_PATH'],
    ['spiffe://a/x#f', 'ERR_SPIFFE_ID_PATH'],
    ['spiffe://a/x?', 'ERR_SPIFFE_ID_PATH'],
    ['spiffe://a/x#', 'ERR_SPIFFE_ID_PATH'],
  ])('refuses %j (ID-1)', (text, code) => {
    expect(() => SpiffeId.parse(text)).toThrow(refusal(code));
  });

  it.each([
    'spiffe://u@a/x',
    'spiffe://u:p@a/x',
    'spiffe://a:80/x',
    'spiffe://a:/x',
    'spiffe://@a/x',
  ])('refuses userinfo and port in %s (ID-2)', (text) => {
    expect(() => SpiffeId.parse(text)).toThrow(refusal('ERR_TRUST_DOMAIN'));
  });

  it('accepts exactly 65 of the 256 bytes in a path segment (ID-5)', () => {
    const accepted = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).filter(
      (character) => accepts(`spiffe://a/x${character}y`) && character !== '/',
    );
    expect(accepted.join('')).toBe(
      '-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz',
    );
    expect(accepted).toHaveLength(65);
  });

  it.each(['/a%41', '/a b', '/a:b', '/ä', '/a*b', '/a\u0000', '/\ud83d\ude00', '/a\\b', '/a@b'])(
    'refuses the path %j (ID-5)',
    (path) => {
      expect(() => SpiffeId.parse(`spiffe://a${path}`)).toThrow(refusal('ERR_SPIFFE_ID_PATH'));
    },
  );

  it.each(['//x', '/x//y', '/.', '/..', '/./x', '/x/..', '/x/./y', '/x/../y'])(
    'refuses the empty or dot segment in %s (ID-6)',
    (path) => {
      expect(() => SpiffeId.parse(`spiffe://a${path}`)).toThrow(refusal('ERR_SPIFFE_ID_PATH'));
    },
  );

  it.each(['/...', '/.x', '/x.', '/a..b', '/x/.../y', '/-', '/_'])(
    'takes the segments of %s (ID-6)',
    (path) => {
      expect(SpiffeId.parse(`spiffe://a${path}`).path).toBe(path);
    },
  );

  it.each(['spiffe://a/', 'spiffe://a/x/', 'spiffe://a//'])(
    'refuses the trailing slash of %s (ID-7)',
    (text) => {
      expect(() => SpiffeId.parse(text)).toThrow(refusal('ERR_SPIFFE_ID_PATH'));
    },
  );

  it('takes 2048 bytes and refuses 2049 (ID-8)', () => {
    const text = (bytes: number) => 'spiffe://a.test/'.padEnd(bytes, 'x');
    expect(SpiffeId.parse(text(2048)).toString()).toHaveLength(2048);
    expect(() => SpiffeId.parse(text(2049))).toThrow(refusal('ERR_SPIFFE_ID_TOO_LONG'));
    expect(() => SpiffeId.of(TrustDomain.parse('a.test'), `/${'x'.repeat(2048)}`)).toThrow(
      refusal('ERR_SPIFFE_ID_TOO_LONG'),
    );
  });

  it('compares paths with case, and refuses upper case in scheme and trust domain (ID-10)', () => {
    const [upper, lower] = [SpiffeId.parse('spiffe://a/A'), SpiffeId.parse('spiffe://a/a')];
    expect(upper.equals(lower)).toBe(false);
    expect(lower.equals(SpiffeId.parse('spiffe://a/a'))).toBe(true);
    expect(lower.equals(SpiffeId.parse('spiffe://b/a'))).toBe(false);
    expect(() => SpiffeId.parse('spiffe://A/a')).toThrow(refusal('ERR_TRUST_DOMAIN'));
    expect(() => SpiffeId.parse('SPIFFE://a/a')).toThrow(refusal('ERR_SPIFFE_ID_SCHEME'));
  });

  it.each([
    'spiffe://a/x/../y',
    'spiffe:\\\\a\\x',
    'spi\nffe://a/x',
    'spiffe://a/x\ty',
    'spiffe://a/x\n',
    'spiffe://a/x ',
    '\tspiffe://a/x',
    'spiffe://a/x\\y',
    'spiffe://a/%2e%2e/y',
    'spiffe://%61/x',
  ])('refuses %j, which a URL parser would normalise (ID-11)', (text) => {
    expect(URL.canParse(text)).toBe(true);
    expect(() => SpiffeId.parse(text)).toThrow(
      expect.objectContaining({ name: 'TrustplaneError' }),
    );
  });

  it('never quotes more than 80 characters of what came', () => {
    expect(() => SpiffeId.parse('x'.repeat(10_000))).toThrow(`"${'x'.repeat(80)}…"`);
  });
});

describe('isReservedPath', () => {
  it.each([
    ['spiffe://a/spire', true],
    ['spiffe://a/spire/server', true],
    ['spiffe://a/spire/agent/local/up', true],
    ['spiffe://a/spire-x', false],
    ['spiffe://a/x/spire/server', false],
    ['spiffe://a/Spire/server', false],
    ['spiffe://a', false],
  ])('of %s is %s', (text, isReserved) => {
    expect(isReservedPath(SpiffeId.parse(text))).toBe(isReserved);
  });
});
