import { describe, expect, it } from 'vitest';
import { SpiffeId } from './spiffe-id.ts';
import { TrustDomain } from './trust-domain.ts';

const allBytes = Array.from({ length: 256 }, (_, byte) => byte);
const parses = (name: string): boolean => {
  try {
    return TrustDomain.parse(name).name === name;
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_TRUST_DOMAIN' });
    return false;
  }
};

describe('TrustDomain', () => {
  it('accepts exactly 39 of the 256 bytes as a character (ID-3)', () => {
    const accepted = allBytes.map((byte) => String.fromCharCode(byte)).filter(parses);
    expect(accepted.join('')).toBe('-.0123456789_abcdefghijklmnopqrstuvwxyz');
    expect(accepted).toHaveLength(39);
  });

  it.each(['A.test', 'a%2e', '[::1]', 'ü', 'a b', 'a.test ', 'a/b', 'a\u0000', 'xn--ü', '\u212a'])(
    'refuses %j (ID-3)',
    (name) => {
      expect(() => TrustDomain.parse(name)).toThrow(
        expect.objectContaining({ code: 'ERR_TRUST_DOMAIN' }),
      );
    },
  );

  it.each(['1.2.3.4', '_a-.', '..', '.', '-', '_', 'a..b', '127.1', '0x7f'])(
    'takes %s as opaque text (ID-4)',
    (name) => {
      expect(TrustDomain.parse(name).name).toBe(name);
      expect(SpiffeId.parse(`spiffe://${name}/x`).trustDomain.name).toBe(name);
    },
  );

  it('takes 255 bytes and refuses 256 (ID-9)', () => {
    expect(TrustDomain.parse('a'.repeat(255)).name).toHaveLength(255);
    expect(() => TrustDomain.parse('a'.repeat(256))).toThrow('has 256 bytes; at most 255');
    expect(() => SpiffeId.parse(`spiffe://${'a'.repeat(256)}/x`)).toThrow('has 256 bytes');
  });

  it('refuses an empty name (ID-1)', () => {
    expect(() => TrustDomain.parse('')).toThrow('the trust domain name is empty');
  });

  it('compares by name and has an ID of its own', () => {
    expect(TrustDomain.parse('a.test').equals(TrustDomain.parse('a.test'))).toBe(true);
    expect(TrustDomain.parse('a.test').equals(TrustDomain.parse('b.test'))).toBe(false);
    expect(TrustDomain.parse('a.test').id).toBe('spiffe://a.test');
  });
});
