import { describe, expect, it } from 'vitest';
import { TrustDomain } from '../spiffe/index.ts';
import { buildRelationships } from './relationship-config.ts';
import { type RelationshipFile, relationshipSchema } from './relationship-schema.ts';

const own = TrustDomain.parse('a.test');
const web: RelationshipFile = {
  trustDomain: 'b.test',
  bundleEndpointUrl: 'https://b.test/bundle',
  bundleEndpointProfile: 'https_web',
};
const spiffe: RelationshipFile = {
  ...web,
  bundleEndpointProfile: 'https_spiffe',
  endpointSpiffeId: 'spiffe://b.test/spire/server',
};

describe('a relationship in the configuration', () => {
  it.each(['trustDomain', 'bundleEndpointUrl', 'bundleEndpointProfile'])(
    'without %s is refused: none follows from another (FED-3)',
    (field) => {
      expect(relationshipSchema.safeParse(web).success).toBe(true);
      const { error } = relationshipSchema.safeParse({ ...web, [field]: undefined });
      expect(error?.issues).toMatchObject([{ path: [field] }]);
    },
  );

  it.each([
    ['bundleEndpointUrl', 'http://b.test/'],
    ['bundleEndpointUrl', 'https://user@b.test/'],
    ['bundleEndpointProfile', 'https_any'],
    ['trustDomain', 'B.test'],
    ['endpointSpiffeId', 'spiffe://b.test'],
    ['publisherId', 'https://b.test/p'],
    ['trustBundleFile', 'b.json'],
    ['webCaFile', 'ca.pem'],
    ['accept', 'spiffe://b.test/**'],
    ['url', 'https://b.test/'],
  ])('whose %s is %s is refused (FED-4)', (field, value) => {
    expect(relationshipSchema.safeParse({ ...spiffe, [field]: value }).success).toBe(false);
  });

  it('has both profiles, and terms (FED-1)', () => {
    const accept = ['spiffe://b.test/payments/**'];
    const [one, other] = buildRelationships(
      [
        { ...spiffe, accept, awaitAck: true, trustBundleFile: '/b.json' },
        { ...web, trustDomain: 'c.test', webCaFile: '/ca.pem' },
      ],
      own,
    );
    expect(one).toMatchObject({
      relationship: { profile: { type: 'https_spiffe' }, awaitAck: true, source: 'config' },
      trustBundleFile: '/b.json',
    });
    expect(one?.relationship.accept.map(String)).toEqual(accept);
    expect(other).toMatchObject({
      relationship: { profile: { type: 'https_web' }, accept: [], awaitAck: false },
      webCaFile: '/ca.pem',
    });
  });

  it.each([
    ['of the own trust domain', [{ ...web, trustDomain: 'a.test' }], 'the own one'],
    ['twice', [web, web], 'relationships.1 (b.test)'],
    [
      'with https_spiffe and no ID (FED-15)',
      [{ ...spiffe, endpointSpiffeId: undefined }],
      'together',
    ],
    ['with https_web and an ID', [{ ...web, endpointSpiffeId: 'spiffe://b.test/e' }], 'together'],
    ['with https_spiffe and a web CA', [{ ...spiffe, webCaFile: '/ca.pem' }], 'webCaFile'],
    ['that accepts another trust domain', [{ ...web, accept: ['spiffe://c.test/x'] }], 'c.test'],
  ] as const)('%s is refused', (_, files, message) => {
    expect(() => buildRelationships(files, own)).toThrow(message);
  });
});
