import { describe, expect, it } from 'vitest';
import { foreignBundle, openFederation } from '../../test/fakes/open-federation.ts';
import { silentLog } from '../ops/index.ts';
import { type Bundle, TrustDomain } from '../spiffe/index.ts';
import { type ConfiguredRelationship, keepConfigured } from './configured-relationships.ts';
import { type FederationRelationship, parseAccept, plainTerms } from './relationship.ts';

const b = TrustDomain.parse('b.test');
const c = TrustDomain.parse('c.test');

const relation = (trustDomain: TrustDomain, more: Partial<FederationRelationship> = {}) => ({
  ...plainTerms,
  trustDomain,
  bundleEndpointUrl: `https://${trustDomain.name}/`,
  profile: { type: 'https_web' as const },
  ...more,
});

const configured = (
  trustDomain: TrustDomain,
  bundle?: Bundle,
  more: Partial<FederationRelationship> = {},
): ConfiguredRelationship => ({
  relationship: relation(trustDomain, { source: 'config', ...more }),
  bundle,
});

async function open(place: Parameters<typeof openFederation>[0] = {}) {
  const ground = await openFederation(place);
  const { relationships, bundles: foreignBundles } = ground;
  const keep = (...all: readonly ConfiguredRelationship[]) =>
    keepConfigured({ relationships, foreignBundles, log: silentLog }, all);
  return { ...ground, keep };
}

describe('relationships of the configuration', () => {
  it('are made with their first bundle, changed, and end with it (FED-15, FED-19)', async () => {
    const { keep, relationships, bundles } = await open();
    await keep(configured(b, foreignBundle('b.test')), configured(c));
    expect(relationships.all()).toEqual([
      relation(b, { source: 'config' }),
      relation(c, { source: 'config' }),
    ]);
    expect(bundles.get(b)).toEqual(foreignBundle('b.test'));
    await keep(configured(b, undefined, { awaitAck: true }));
    expect(relationships.all()).toEqual([relation(b, { source: 'config', awaitAck: true })]);
    expect(bundles.get(b)).toBeDefined();
    await keep();
    expect(relationships.all()).toEqual([]);
    expect(bundles.get(b)).toBeUndefined();
  });

  it('leave alone what was made by command, unless they are of the same trust domain', async () => {
    const { keep, relationships, bundles } = await open();
    await relationships.create(relation(b));
    await relationships.create(relation(c));
    await bundles.set(foreignBundle('c.test'));
    await keep(configured(b));
    expect(relationships.all()).toEqual([relation(b, { source: 'config' }), relation(c)]);
    await keep();
    expect(relationships.all()).toEqual([relation(c)]);
    expect(bundles.get(c)).toBeDefined();
  });

  it.each([
    ['none is there', undefined, undefined, true],
    ['it has a higher sequence number', 2n, 3n, true],
    ['it has the same', 3n, 3n, false],
    ['it has a lower one', 3n, 2n, false],
    ['it has none', 3n, undefined, false],
    ['the other has none', undefined, 3n, false],
  ])('bring their bundle when %s, or not (FED-17)', async (what, before, sequence, isTaken) => {
    const { keep, bundles } = await open();
    const known = foreignBundle('b.test', [0], { sequenceNumber: before });
    if (what !== 'none is there') await bundles.set(known);
    const brought = foreignBundle('b.test', [1], { sequenceNumber: sequence });
    await keep(configured(b, brought));
    expect(bundles.get(b)).toEqual(isTaken ? brought : known);
  });

  it('are not written again when nothing has changed', async () => {
    const { keep, bucket } = await open();
    await keep(configured(b, foreignBundle('b.test')));
    const { revision } = await bucket.list('');
    await keep(configured(b, foreignBundle('b.test')));
    expect((await bucket.list('')).revision).toBe(revision);
  });

  it('end also where another server ends them at the same time', async () => {
    const one = await open();
    await one.keep(configured(b, foreignBundle('b.test')));
    const other = await open(one);
    await Promise.all([one.keep(configured(c)), other.keep(configured(c))]);
    for (const { relationships, bundles } of [one, other]) {
      expect(relationships.all()).toEqual([relation(c, { source: 'config' })]);
      expect(bundles.get(b)).toBeUndefined();
    }
  });

  it('are there before a bundle of which they accept but a part', async () => {
    const { keep, relationships, bundles } = await open();
    const accept = parseAccept(['spiffe://b.test/pay/**'], b);
    const acceptedWith: unknown[] = [];
    bundles.watch(() => void acceptedWith.push(relationships.get(b)?.accept));
    await keep(configured(b, foreignBundle('b.test'), { accept }));
    expect(acceptedWith).toEqual([accept]);
  });
});
