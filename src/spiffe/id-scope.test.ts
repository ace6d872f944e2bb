import { describe, expect, it } from 'vitest';
import { isAccepted } from './federation-terms.ts';
import { IdScope } from './id-scope.ts';
import { SpiffeId } from './spiffe-id.ts';
import { TrustDomain } from './trust-domain.ts';

const b = TrustDomain.parse('b.test');
const parse = (text: string): IdScope => IdScope.parse(text, b);
const id = (path: string): SpiffeId => SpiffeId.parse(`spiffe://b.test${path}`);

describe('a scope of SPIFFE IDs', () => {
  it('is one ID, and no other', () => {
    const scope = parse('spiffe://b.test/payments');
    expect(scope.accepts(id('/payments'))).toBe(true);
    for (const path of ['', '/payments/x', '/payments2', '/Payments', '/pay'])
      expect(scope.accepts(id(path))).toBe(false);
    expect([scope.exact, scope.prefix]).toEqual(['spiffe://b.test/payments', undefined]);
  });

  it('is an ID and all below it, by whole segments', () => {
    const scope = parse('spiffe://b.test/payments/**');
    for (const path of ['/payments', '/payments/x', '/payments/x/y'])
      expect(scope.accepts(id(path))).toBe(true);
    for (const path of ['', '/payments2', '/payments2/x', '/x/payments', '/PAYMENTS/x'])
      expect(scope.accepts(id(path))).toBe(false);
    expect(scope.prefix).toBe('spiffe://b.test/payments/');
  });

  it('is all of a trust domain', () => {
    const scope = parse('spiffe://b.test/**');
    expect(scope.accepts(id('/x'))).toBe(true);
    expect(scope.accepts(SpiffeId.parse('spiffe://b.test2/x'))).toBe(false);
    expect(scope.accepts(SpiffeId.parse('spiffe://sub.b.test/x'))).toBe(false);
  });

  it.each(['spiffe://b.test/payments', 'spiffe://b.test/a/b/**', 'spiffe://b.test/**'])(
    'is written as it is read: %s',
    (text) => {
      expect(parse(text).toString()).toBe(text);
    },
  );

  it.each([
    '',
    'b.test/payments/**',
    '/payments/**',
    'spiffe://b.test',
    'spiffe://b.test/',
    'spiffe://b.test**',
    'spiffe://b.test/payments/*',
    'spiffe://b.test/pay*',
    'spiffe://b.test/*/x',
    'spiffe://b.test/**/x',
    'spiffe://b.test/a/**/**',
    'spiffe://b.test/a//**',
    'spiffe://b.test/../**',
    'spiffe://B.test/a/**',
    'spiffe://c.test/payments/**',
    'spiffe://*/payments/**',
    'spiffe://b.test/payments/** ',
    `spiffe://b.test/${'x'.repeat(2048)}/**`,
  ])('is not %j', (text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'ERR_ID_SCOPE' }));
  });
});

describe('the terms of a trust domain', () => {
  const accept = [parse('spiffe://b.test/payments/**'), parse('spiffe://b.test/ledger')];

  it('accept what one of their scopes accepts', () => {
    const terms = new Map([['b.test', { accept }]]);
    expect(isAccepted(terms, id('/payments/x'))).toBe(true);
    expect(isAccepted(terms, id('/ledger'))).toBe(true);
    expect(isAccepted(terms, id('/ledger/x'))).toBe(false);
  });

  it('accept everything when they name no scope, or are of another domain', () => {
    expect(isAccepted(new Map([['b.test', { accept: [] }]]), id('/x'))).toBe(true);
    expect(isAccepted(new Map([['c.test', { accept }]]), id('/x'))).toBe(true);
  });
});
