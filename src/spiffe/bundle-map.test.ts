import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundleOf, makeAuthority } from '../../test/fakes/test-certificates.ts';
import { type Bundle, bundlesEqual, emptyBundle } from './bundle.ts';
import { parseBundleMap, serializeBundleMap, serializeEnvoyBundleMap } from './bundle-map.ts';
import { TrustDomain } from './trust-domain.ts';

const refusal = (code: string, why = '') =>
  expect.objectContaining({ code, message: expect.stringContaining(why) });
let a: Bundle;
let b: Bundle;
let tokensOnly: Bundle;

beforeAll(async () => {
  const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    format: 'der',
    type: 'spki',
  });
  const jwtAuthorities = [{ keyId: 'k', publicKey, expiresAt: undefined, tainted: false }];
  const hints = { refreshHintSeconds: 60, sequenceNumber: 7n };
  a = { ...bundleOf('a.test', await makeAuthority()), jwtAuthorities, ...hints };
  b = bundleOf('b.test', await makeAuthority({ uris: [] }), await makeAuthority({ uris: [] }));
  tokensOnly = { ...emptyBundle(TrustDomain.parse('c.test')), jwtAuthorities };
});

describe('parseBundleMap', () => {
  it('reads bundles by trust domain name out of what it wrote, also none (MAP-1, MAP-6)', () => {
    expect(parseBundleMap('{"trust_domains":{}}').size).toBe(0);
    const map = parseBundleMap(serializeBundleMap([a, b]));
    expect([...map.keys()]).toEqual(['a.test', 'b.test']);
    const again = map.get('b.test');
    expect(again?.bundle.trustDomain.name).toBe('b.test');
    expect(again !== undefined && bundlesEqual(again.bundle, b)).toBe(true);
    expect(again?.ignoredKeys).toEqual([]);
  });

  it.each([
    '{}',
    '[]',
    '{"trust_domains":[]}',
    '{"trust_domains":null}',
    '{"trust_domains":{"a":1}}',
  ])('refuses %s (MAP-1)', (text) => {
    expect(() => parseBundleMap(text)).toThrow(refusal('ERR_BUNDLE_MAP'));
  });

  it('refuses a trust domain that comes twice, also when it is written with escapes (MAP-2)', () => {
    for (const second of ['a.test', '\\u0061.test']) {
      const text = `{"trust_domains":{"a.test":{"keys":[]},"${second}":{"keys":[]}}}`;
      expect(() => parseBundleMap(text)).toThrow(
        refusal('ERR_JSON', 'duplicate member name "a.test"'),
      );
    }
  });

  it('does not take over refresh hints of bundles inside (MAP-3)', () => {
    const text = '{"trust_domains":{"a.test":{"keys":[],"spiffe_refresh_hint":1}}}';
    expect(parseBundleMap(text).get('a.test')?.bundle.refreshHintSeconds).toBeUndefined();
  });

  it('takes all of a map or nothing: one bad bundle or name refuses it (MAP-4)', () => {
    const map = (name: string, bundle: string) =>
      `{"trust_domains":{"a.test":{"keys":[]},"${name}":${bundle}}}`;
    expect(() => parseBundleMap(map('b.test', '{}'))).toThrow(refusal('ERR_BUNDLE', 'b.test'));
    expect(() => parseBundleMap(map('B.test', '{"keys":[]}'))).toThrow(refusal('ERR_TRUST_DOMAIN'));
    expect(() => parseBundleMap(map('spiffe://b.test', '{"keys":[]}'))).toThrow(
      refusal('ERR_TRUST_DOMAIN'),
    );
  });

  it('bounds the number of trust domains', () => {
    const names = Array.from({ length: 10_001 }, (_, index) => `"t${index}":{"keys":[]}`);
    const text = `{"trust_domains":{${names.join(',')}}}`;
    expect(() => parseBundleMap(text)).toThrow(refusal('ERR_BUNDLE_MAP', 'got 10001'));
  });
});

describe('serializeBundleMap', () => {
  it('keeps names unique and leaves inner refresh hints out (MAP-2, MAP-3)', () => {
    expect(() => serializeBundleMap([a, b, a])).toThrow(refusal('ERR_BUNDLE_MAP', 'a.test once'));
    const text = serializeBundleMap([a]);
    expect(text).toContain('"spiffe_sequence":7');
    expect(text).not.toContain('refresh_hint');
    expect(serializeBundleMap([])).toBe('{"trust_domains":{}}');
  });

  it('filters the map for Envoy: X.509 keys only, no domain without any (MAP-5)', () => {
    const { trust_domains: domains } = JSON.parse(serializeEnvoyBundleMap([a, b, tokensOnly]));
    expect(Object.keys(domains)).toEqual(['a.test', 'b.test']);
    expect(Object.keys(domains['a.test'])).toEqual(['keys']);
    expect(domains['a.test'].keys.map(({ use }: { use: string }) => use)).toEqual(['x509-svid']);
    expect(domains['b.test'].keys).toHaveLength(2);
  });
});
