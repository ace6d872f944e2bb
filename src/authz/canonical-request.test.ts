import { describe, expect, it } from 'vitest';
import { canonicalHost, isCanonicalPath, parseQuery } from './canonical-request.ts';
import { parseIp, parseIpRange, rangeHolds } from './ip-range.ts';

describe('paths (AUTHZ-6)', () => {
  it.each([
    '//admin',
    '/x/../admin',
    '/x/%2e%2e/admin',
    '/%61dmin',
    '/./admin',
    '/\\admin',
    '/x/..%2fadmin',
    '/x%5c..%5cadmin',
    '/admin%2f',
    '/admin%2F',
    '/x/..;/admin',
    '/admin;v=1',
    '/admin%00',
    '/admin#f',
    '/admin%',
    '/admin%4',
    '/admin%zz',
    '/caf\u00e9',
    '/a b',
    '/..',
    'admin',
    '*',
    '',
  ])('refuses %s', (path) => {
    expect(isCanonicalPath(path, false)).toBe(false);
  });

  it.each([
    '/',
    '/admin',
    '/admin.',
    '/ADMIN',
    '/admin/',
    '/admin%20',
    '/%2561dmin',
    '/...',
    '/.a',
    '/a:b@c',
  ])('takes %s as it is', (path) => expect(isCanonicalPath(path, false)).toBe(true));

  it('takes ";" where that is allowed, but no dot segment in front of it', () => {
    expect(isCanonicalPath('/admin;v=1', true)).toBe(true);
    expect(isCanonicalPath('/x/..;/admin', true)).toBe(false);
    expect(isCanonicalPath('/x/.;a', true)).toBe(false);
  });
});

it.each([
  ['Example.COM', 'example.com'],
  ['example.com.:8080', 'example.com'],
  ['example.com:', 'example.com'],
  ['[::1]:80', '[::1]'],
  ['[::1]', '[::1]'],
  ['BAN\u212A.example', 'ban\u212A.example'],
])('takes the host %s for %s', (host, canonical) => {
  expect(canonicalHost(host)).toBe(canonical);
});

it.each([
  ['a=1&b=2&a=3', 'a', ['1', '3']],
  ['a', 'a', ['']],
  ['%61=%2562', 'a', ['%62']],
  ['a=x+y', 'a', ['x y']],
  ['a=100%', 'a', ['100%']],
  ['', '', []],
])('reads the query %s', (query, key, values) => {
  expect(parseQuery(query).get(key) ?? []).toEqual(values);
});

it.each([
  ['10.8.0.0/16', '10.8.255.1', true],
  ['10.8.0.0/16', '10.9.0.1', false],
  ['10.8.0.0/16', '::ffff:10.8.0.1', true],
  ['10.8.0.0/16', '::a08:1', false],
  ['2001:db8::/33', '2001:db8:7fff::1', true],
  ['2001:db8::/33', '2001:db8:8000::1', false],
  ['::1', '::1', true],
  ['0.0.0.0/0', '1.2.3.4', true],
])('the range %s holds %s: %s', (range, address, expected) => {
  expect(rangeHolds(parseIpRange(range), parseIp(address) ?? [])).toBe(expected);
});

it.each([
  '10.0.0.1/8',
  '10.0.0.0/33',
  '10.0.0',
  '010.0.0.1',
  '1.2.3.256',
  ':::',
  '1::2::3',
  '::/',
  'x',
  '1.2.3.4/',
])('refuses the range %s', (text) => expect(() => parseIpRange(text)).toThrow(text));
