import { describe, expect, it, vi } from 'vitest';
import { foreignBundle, openFederation } from '../../test/fakes/open-federation.ts';
import { emptyBundle, IdScope, SpiffeId, TrustDomain, type TrustMap } from '../spiffe/index.ts';
import { type FederationRelationship, plainTerms } from './relationship.ts';
import { createTrustMapSource } from './trust-map.ts';

const b = TrustDomain.parse('b.test');
const relationship: FederationRelationship = {
  trustDomain: b,
  bundleEndpointUrl: 'https://b.test/bundle',
  profile: { type: 'https_web' },
  ...plainTerms,
};
const payments = [IdScope.parse('spiffe://b.test/payments/**', b)];

async function openTrust(place: Parameters<typeof openFederation>[0] = {}) {
  const ground = await openFederation(place);
  const own = emptyBundle(TrustDomain.parse('a.test'));
  const trust = createTrustMapSource({
    ownBundle: { current: () => own, watch: () => () => {} },
    foreignBundles: ground.bundles,
    terms: ground.relationships,
  });
  const seen: TrustMap[] = [];
  trust.watch((map) => seen.push(map));
  return { ...ground, trust, seen };
}

describe('the terms in the trust map', () => {
  it('are those of the relationships, as they change', async () => {
    const { relationships, trust, seen } = await openTrust();
    await relationships.create(relationship);
    expect(trust.current().terms.get('b.test')).toEqual({
      accept: [],
      publisherId: SpiffeId.parse('spiffe://b.test/spire/server'),
    });
    await relationships.update(b, { accept: payments });
    expect(trust.current().terms.get('b.test')?.accept).toEqual(payments);
    await relationships.delete(b);
    expect(trust.current().terms.size).toBe(0);
    expect(seen).toHaveLength(3);
  });

  it('end with the bundle they tell of, and not before it', async () => {
    const { bundles, relationships, trust } = await openTrust();
    await relationships.create({ ...relationship, accept: payments });
    await bundles.set(foreignBundle('b.test'));
    await relationships.delete(b);
    const { federated, terms } = trust.current();
    expect(federated.has('b.test')).toBe(true);
    expect(terms.get('b.test')).toEqual({ accept: payments, publisherId: undefined });
    await bundles.delete(b);
    expect(trust.current().terms.size).toBe(0);
  });

  it('are known before the bundle at every server, as they were written', async () => {
    const { bundles, relationships, clock, store } = await openTrust();
    const { seen } = await openTrust({ clock, store });
    await relationships.create({ ...relationship, accept: payments });
    await bundles.set(foreignBundle('b.test'));
    await vi.waitFor(() => expect(seen.at(-1)?.federated.has('b.test')).toBe(true));
    const withBundle = seen.filter(({ federated }) => federated.has('b.test'));
    expect(withBundle.map(({ terms }) => terms.get('b.test')?.accept)).toEqual([payments]);
  });

  it('are no news when something else of a relationship changes', async () => {
    const { relationships, seen } = await openTrust();
    await relationships.create(relationship);
    await relationships.update(b, { bundleEndpointUrl: 'https://b.test/other', awaitAck: true });
    expect(seen).toHaveLength(1);
  });

  it('are unknown where a relationship cannot be read: then the domain is not trusted at all', async () => {
    const ground = await openTrust();
    await ground.relationships.create({ ...relationship, accept: payments });
    await ground.bundles.set(foreignBundle('b.test'));
    await ground.bundles.set(foreignBundle('c.test', [1]));
    const [stored] = (await ground.bucket.list('relationship.')).records;
    const key = stored?.key ?? '';
    await ground.bucket.put(key, Buffer.from('{"v":3}'));
    const { trust, bucket, relationships } = await openTrust(ground);
    expect([...trust.current().federated.keys()]).toEqual(['c.test']);
    await bucket.put(key, stored?.value ?? new Uint8Array());
    await relationships.update(b, { awaitAck: true });
    expect([...trust.current().federated.keys()].sort()).toEqual(['b.test', 'c.test']);
    expect(trust.current().terms.get('b.test')?.accept).toEqual(payments);
    await bucket.put(key, Buffer.from('{"v":3}'));
    await relationships.delete(b);
    expect(trust.current().terms.get('b.test')?.accept).toEqual(payments);
  });
});
