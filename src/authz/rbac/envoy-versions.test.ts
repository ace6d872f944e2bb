import { expect, it } from 'vitest';
import { hasConnectionState, layoutFor, parseEnvoyVersion } from './envoy-versions.ts';

it.each([
  ['1.40', [1, 40]],
  ['v1.38.2', [1, 38]],
  ['1.41.0-dev', [1, 41]],
] as const)('reads the version %s', (text, version) => {
  expect(parseEnvoyVersion(text)).toEqual(version);
});

it.each(['', '1', '1.x', '1.40 ', '01.40.1.2', '1.99999'])('refuses the version %j', (text) => {
  expect(() => parseEnvoyVersion(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
});

it('gives an Envoy the best layout that it reads', () => {
  expect(
    [
      [1, 34],
      [1, 35],
      [1, 40],
      [2, 0],
    ].map(([major = 0, minor = 0]) => layoutFor([major, minor])),
  ).toEqual(['flat-denies', 'nested', 'nested', 'nested']);
  expect(layoutFor([1, 40], 'flat-denies')).toBe('flat-denies');
});

it('refuses an Envoy that is too old, and says why', () => {
  expect(() => layoutFor([1, 33])).toThrow(
    expect.objectContaining({
      code: 'ERR_RBAC_ENVOY',
      message: expect.stringContaining('%PATH(NQ:PATH)%'),
    }),
  );
  expect(() => layoutFor([1, 34], 'nested')).toThrow(/1\.34 is too old .*expected 1\.35 or later/u);
});

it('knows which Envoy can tell who has shown no certificate on a connection', () => {
  expect([
    hasConnectionState([1, 36]),
    hasConnectionState([1, 37]),
    hasConnectionState(undefined),
  ]).toEqual([false, true, true]);
});
