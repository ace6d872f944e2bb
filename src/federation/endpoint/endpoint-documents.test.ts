import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { FakeTrustMap } from '../../../test/fakes/fake-trust-map.ts';
import { bundleOf, makeAuthority } from '../../../test/fakes/test-certificates.ts';
import {
  type Bundle,
  bundlesEqual,
  IdScope,
  parseBundleDocument,
  parseBundleMap,
  serializeBundleDocument,
  TrustDomain,
} from '../../spiffe/index.ts';
import { createEndpointDocuments, type EndpointPaths } from './endpoint-documents.ts';

const paths: EndpointPaths = {
  path: '/bundle',
  leaveOutWitKeys: false,
  bundleMap: { path: '/map', envoyPath: '/envoy' },
};
let own: Bundle;
let b: Bundle;
let c: Bundle;
let trust: FakeTrustMap;

beforeAll(async () => {
  const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    format: 'der',
    type: 'spki',
  });
  const key = (keyId: string) => ({ keyId, publicKey, expiresAt: undefined, tainted: false });
  own = {
    ...bundleOf('a.test', await makeAuthority()),
    jwtAuthorities: [key('jwt')],
    witAuthorities: [key('wit')],
    sequenceNumber: 9_007_199_254_740_993n,
    refreshHintSeconds: 60,
  };
  b = { ...bundleOf('b.test', await makeAuthority({ uris: [] })), refreshHintSeconds: 1 };
  c = { ...bundleOf('c.test'), jwtAuthorities: [key('c')] };
});

beforeEach(() => {
  trust = new FakeTrustMap(own);
  trust.set(own, b, c);
});

function read(path: string, options: Partial<EndpointPaths> = {}) {
  const document = createEndpointDocuments(trust, { ...paths, ...options }).get(path);
  if (document === undefined) throw new Error(`nothing at ${path}`);
  const { body, ...rest } = document();
  return { text: Buffer.from(body).toString('utf8'), body, ...rest };
}

it('is the bundle document, and may be believed for the refresh hint (BUNDLE-1, BUNDLE-4)', () => {
  const { text, body, maxAgeSeconds } = read('/bundle');
  expect(text).toBe(serializeBundleDocument(own));
  expect(maxAgeSeconds).toBe(60);
  const { bundle } = parseBundleDocument(TrustDomain.parse('a.test'), body);
  expect(bundlesEqual(bundle, own)).toBe(true);
});

it('leaves out WIT keys where they would be refused, in every document (BUNDLE-11)', () => {
  const uses = (text: string) => text.match(/"use":"[^"]+"/g);
  expect(uses(read('/bundle').text)).toContain('"use":"wit-svid"');
  expect(uses(read('/map').text)).toContain('"use":"wit-svid"');
  for (const path of ['/bundle', '/map', '/envoy']) {
    const { text } = read(path, { leaveOutWitKeys: true });
    expect(uses(text)).toContain('"use":"x509-svid"');
    expect(uses(text)).not.toContain('"use":"wit-svid"');
  }
});

it('has a map of the own and all federated bundles, without their hints (MAP-1, MAP-3)', () => {
  const { text, body, maxAgeSeconds } = read('/map');
  expect([...parseBundleMap(body).keys()]).toEqual(['a.test', 'b.test', 'c.test']);
  expect(text).not.toContain('spiffe_refresh_hint');
  expect(maxAgeSeconds).toBe(60);
});

it('has a map for Envoy: X.509 keys alone, and no empty lists (MAP-5)', () => {
  const { trust_domains: domains } = JSON.parse(read('/envoy').text);
  expect(Object.keys(domains)).toEqual(['a.test', 'b.test']);
  for (const { keys } of Object.values<{ keys: { use: string }[] }>(domains))
    expect(keys.map(({ use }) => use)).toEqual(['x509-svid']);
});

it('leaves out of maps, which trust it whole, a domain of which some IDs alone are accepted', () => {
  const accept = [IdScope.parse('spiffe://b.test/payments/**', b.trustDomain)];
  trust.setTerms(
    ['b.test', { accept, publisherId: undefined }],
    ['c.test', { accept: [], publisherId: undefined }],
  );
  expect([...parseBundleMap(read('/map').body).keys()]).toEqual(['a.test', 'c.test']);
  expect(Object.keys(JSON.parse(read('/envoy').text).trust_domains)).toEqual(['a.test']);
});

it('publishes no map unless it is told to', () => {
  const bundleMap = { path: undefined, envoyPath: undefined };
  expect([...createEndpointDocuments(trust, { ...paths, bundleMap }).keys()]).toEqual(['/bundle']);
});

it('is written once for each version, and is the newest at once (FED-12)', () => {
  const documents = createEndpointDocuments(trust, paths);
  const bundle = documents.get('/bundle');
  const map = documents.get('/map');
  const [first, firstMap] = [bundle?.(), map?.()];
  trust.set(own, c);
  expect(bundle?.()).toBe(first);
  expect(map?.().entityTag).not.toBe(firstMap?.entityTag);
  trust.set({ ...own, sequenceNumber: 2n }, c);
  expect(bundle?.().entityTag).not.toBe(first?.entityTag);
  expect(Buffer.from(bundle?.().body ?? []).toString()).toContain('"spiffe_sequence":2');
});
