import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { openBundleApi } from '../../test/fakes/open-bundle-api.ts';
import { foreignBundle } from '../../test/fakes/open-federation.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { buildBundleMessage } from '../sync/index.ts';

const b = TrustDomain.parse('b.test');

async function open() {
  const world = await openBundleApi();
  const call = await serveForTest(world.trustDomainService);
  const create = (...federation_relationships: object[]) =>
    call('BatchCreateFederationRelationship', { federation_relationships });
  return { ...world, call, create };
}

const url = 'https://b.test/bundle';
const web = { trust_domain: 'b.test', bundle_endpoint_url: url, https_web: {} };
const spiffe = {
  trust_domain: 'c.test',
  bundle_endpoint_url: 'https://c.test:8443',
  https_spiffe: { endpoint_spiffe_id: 'spiffe://c.test/spire/server' },
};
const initial = (name: string, index: number, sequenceNumber?: bigint) =>
  buildBundleMessage(foreignBundle(name, [index], { sequenceNumber }));
const profile = (name: 'https_web' | 'https_spiffe') => ({ bundle_endpoint_profile: name });
const ok = { code: 0, message: 'OK' };
const item = (code: status, words = '') => ({
  status: { code, message: expect.stringContaining(words) },
});
const refused = (code: status, words: string) =>
  expect.objectContaining({ code, details: expect.stringContaining(words) });

describe('relationships', () => {
  it('are created with a status of their own, shown and listed', async () => {
    const { call, create } = await open();
    expect(
      await create(
        web,
        { ...spiffe, trust_domain: 'spiffe://c.test' },
        web,
        { ...web, trust_domain: 'a.test' },
        { ...web, trust_domain: 'd.test', bundle_endpoint_url: 'http://d.test' },
        { ...spiffe, trust_domain: 'e.test', https_spiffe: {} },
        { trust_domain: 'f.test', bundle_endpoint_url: url },
        { trust_domain: 'g.test', https_web: {} },
      ),
    ).toEqual({
      results: [
        { status: ok, federation_relationship: { ...web, ...profile('https_web') } },
        { status: ok, federation_relationship: { ...spiffe, ...profile('https_spiffe') } },
        item(status.ALREADY_EXISTS, 'b.test'),
        item(status.INVALID_ARGUMENT, 'the own one'),
        item(status.INVALID_ARGUMENT, 'https://'),
        item(status.INVALID_ARGUMENT, 'SPIFFE ID'),
        item(status.INVALID_ARGUMENT, 'bundle_endpoint_profile'),
        item(status.INVALID_ARGUMENT, 'https://'),
      ],
    });
    expect(await call('GetFederationRelationship', { trust_domain: 'c.test' })).toEqual({
      ...spiffe,
      ...profile('https_spiffe'),
    });
    const output_mask = { bundle_endpoint_url: true };
    const first = await call('ListFederationRelationships', { page_size: 1, output_mask });
    expect(first).toMatchObject({
      federation_relationships: [{ trust_domain: 'b.test', bundle_endpoint_url: url }],
    });
    const page_token = Buffer.from('1:b.test').toString('base64url');
    expect(await call('ListFederationRelationships', { page_size: 1, page_token })).toMatchObject({
      federation_relationships: [{ trust_domain: 'c.test' }],
      next_page_token: '',
    });
    await expect(call('GetFederationRelationship', { trust_domain: 'x.test' })).rejects.toEqual(
      refused(status.NOT_FOUND, 'x.test'),
    );
  });

  it('may bring a bundle, which is trusted from then on (FED-15)', async () => {
    const { call, create, trustMap } = await open();
    const withBundle = { ...web, trust_domain_bundle: initial('b.test', 0, 3n) };
    expect(await create(withBundle)).toMatchObject({
      results: [
        {
          status: ok,
          federation_relationship: {
            trust_domain_bundle: { trust_domain: 'b.test', sequence_number: '3' },
          },
        },
      ],
    });
    expect(trustMap.current().federated.get('b.test')?.sequenceNumber).toBe(3n);
    const output_mask = { bundle_endpoint_profile: true };
    expect(
      await call('GetFederationRelationship', { trust_domain: 'b.test', output_mask }),
    ).toEqual({ trust_domain: 'b.test', https_web: {}, ...profile('https_web') });
  });

  it('are not made when the bundle they bring is refused', async () => {
    const { create, bundles, relationships } = await open();
    await bundles.set(foreignBundle('b.test', [0], { sequenceNumber: 9n }));
    expect(
      await create(
        { ...web, trust_domain_bundle: initial('b.test', 1, 3n) },
        { ...spiffe, trust_domain_bundle: initial('b.test', 1) },
        { ...spiffe, trust_domain_bundle: { trust_domain: 'c.test', x509_authorities: [{}] } },
      ),
    ).toEqual({
      results: [
        item(status.FAILED_PRECONDITION, 'below 9'),
        item(status.INVALID_ARGUMENT, 'of c.test'),
        item(status.INVALID_ARGUMENT, 'X.509 authority 0'),
      ],
    });
    expect(relationships.list({ pageSize: 0, pageToken: '' }).items).toEqual([]);
    expect(bundles.get(b)?.sequenceNumber).toBe(9n);
  });

  it('are updated in the masked fields alone', async () => {
    const { call, create, bundles } = await open();
    await create(web);
    const update = (change: object, input_mask?: object) =>
      call('BatchUpdateFederationRelationship', {
        federation_relationships: [{ trust_domain: 'b.test', ...change }],
        ...(input_mask && { input_mask }),
      });
    const moved = { bundle_endpoint_url: 'https://new.test/' };
    expect(
      await update({ ...moved, ...spiffe.https_spiffe }, { bundle_endpoint_url: true }),
    ).toEqual({
      results: [
        { status: ok, federation_relationship: { ...web, ...moved, ...profile('https_web') } },
      ],
    });
    const { https_spiffe } = spiffe;
    await update(
      { https_spiffe, trust_domain_bundle: initial('b.test', 2) },
      { bundle_endpoint_profile: true },
    );
    expect(bundles.get(b)).toBeUndefined();
    expect(
      await update({ trust_domain_bundle: initial('b.test', 2) }, { trust_domain_bundle: true }),
    ).toMatchObject({
      results: [{ status: ok, federation_relationship: { ...moved, https_spiffe } }],
    });
    expect(bundles.get(b)).toEqual(foreignBundle('b.test', [2]));
    expect(await update({})).toEqual({ results: [item(status.INVALID_ARGUMENT, 'https://')] });
    expect(await update({ ...web, trust_domain: 'x.test' })).toEqual({
      results: [item(status.NOT_FOUND, 'x.test')],
    });
  });

  it('end with the trust they brought (FED-19)', async () => {
    const { call, create, trustMap, relationships } = await open();
    await create({ ...web, trust_domain_bundle: initial('b.test', 0) }, spiffe);
    const trust_domains = ['b.test', 'b.test', 'a.test', 'c.test'];
    expect(await call('BatchDeleteFederationRelationship', { trust_domains })).toEqual({
      results: [
        { status: ok, trust_domain: 'b.test' },
        { ...item(status.NOT_FOUND), trust_domain: 'b.test' },
        { ...item(status.INVALID_ARGUMENT), trust_domain: 'a.test' },
        { status: ok, trust_domain: 'c.test' },
      ],
    });
    expect(trustMap.current().federated.size).toBe(0);
    expect(relationships.list({ pageSize: 0, pageToken: '' }).items).toEqual([]);
  });

  it('that never were leave a bundle where it is', async () => {
    const { call, bundles } = await open();
    await bundles.set(foreignBundle('b.test'));
    await call('BatchDeleteFederationRelationship', { trust_domains: ['b.test'] });
    expect(bundles.get(b)).toBeDefined();
  });

  it('are fetched when asked', async () => {
    const { call, create, refreshed } = await open();
    await create(web);
    expect(await call('RefreshBundle', { trust_domain: 'b.test' })).toEqual({});
    expect(refreshed).toEqual(['b.test']);
    await expect(call('RefreshBundle', { trust_domain: 'c.test' })).rejects.toEqual(
      refused(status.NOT_FOUND, 'c.test'),
    );
  });

  it('that the configuration keeps are changed there alone', async () => {
    const { call, create, relationships } = await open();
    await create(web);
    await relationships.update(b, { source: 'config' });
    const held = item(status.FAILED_PRECONDITION, 'federation.relationships');
    expect(
      await call('BatchUpdateFederationRelationship', { federation_relationships: [web] }),
    ).toEqual({ results: [held] });
    expect(await call('BatchDeleteFederationRelationship', { trust_domains: ['b.test'] })).toEqual({
      results: [{ ...held, trust_domain: 'b.test' }],
    });
    expect(relationships.get(b)).toBeDefined();
  });
});
