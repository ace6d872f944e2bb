import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { openBundleApi } from '../../test/fakes/open-bundle-api.ts';
import {
  foreignBundle,
  storedBundleKey,
  testCertificate,
  testTokenAuthority,
} from '../../test/fakes/open-federation.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { createThrowawayCa } from '../ca/index.ts';
import { plainTerms } from '../federation/relationship.ts';
import { type Log, silentLog } from '../ops/index.ts';
import { IdScope, TrustDomain } from '../spiffe/index.ts';
import { buildBundleMessage } from '../sync/index.ts';

const b = TrustDomain.parse('b.test');

async function open(log?: Log, caller?: Parameters<typeof openBundleApi>[1]) {
  const world = await openBundleApi(log, caller);
  return { ...world, call: await serveForTest(world.bundleService) };
}

/** As it is sent. */
const wire = (name: string, index: number, more: Parameters<typeof foreignBundle>[2] = {}) =>
  buildBundleMessage(foreignBundle(name, [index], more));
/** As it is answered. */
const shown = (name: string, index: number, more: object = {}) => ({
  trust_domain: name,
  x509_authorities: [{ asn1: Buffer.from(testCertificate(index)), tainted: false }],
  jwt_authorities: [],
  wit_authorities: [],
  refresh_hint: '0',
  sequence_number: '0',
  ...more,
});
const ok = { code: 0, message: 'OK' };
const item = (code: status, words = '') => ({
  status: { code, message: expect.stringContaining(words) },
});
const refused = (code: status, words: string) =>
  expect.objectContaining({ code, details: expect.stringContaining(words) });

describe('the own bundle', () => {
  it('is shown whole, or the masked fields alone', async () => {
    const { call, ownBundle } = await open();
    await ownBundle.publisherFor('s').publish(testCertificate(0));
    const whole = shown('a.test', 0, { refresh_hint: '300', sequence_number: '1' });
    expect(await call('GetBundle')).toEqual(whole);
    expect(await call('GetBundle', { output_mask: { refresh_hint: true } })).toEqual({
      trust_domain: 'a.test',
      x509_authorities: [],
      jwt_authorities: [],
      wit_authorities: [],
      refresh_hint: '300',
    });
  });

  it('is counted with the federated ones', async () => {
    const { call, bundles } = await open();
    expect(await call('CountBundles')).toEqual({ count: 1 });
    await bundles.set(foreignBundle('b.test'));
    expect(await call('CountBundles')).toEqual({ count: 2 });
  });

  it('takes authorities that an administrator adds, each once', async () => {
    const { call, ownBundle } = await open();
    const { x509_authorities, jwt_authorities } = buildBundleMessage(
      foreignBundle('x', [0, 1], {
        jwtAuthorities: [testTokenAuthority('k', { expiresAt: 9e12 })],
      }),
    );
    const request = { x509_authorities, jwt_authorities, output_mask: { x509_authorities: true } };
    const appended = { x509_authorities: [{}, {}], jwt_authorities: [] };
    expect(await call('AppendBundle', request)).toMatchObject(appended);
    expect(await call('AppendBundle', request)).toMatchObject(appended);
    expect(ownBundle.current()).toMatchObject({ x509Authorities: [{}, {}], jwtAuthorities: [{}] });
  });

  it('takes nothing of a request with a fault', async () => {
    const { call, ownBundle } = await open();
    const x509_authorities = [{ asn1: testCertificate(0) }, { asn1: Buffer.of(48, 0) }];
    await expect(call('AppendBundle', { x509_authorities })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'X.509 authority 1'),
    );
    const wit_authorities = [{ key_id: 'w' }];
    await expect(call('AppendBundle', { wit_authorities })).rejects.toEqual(
      refused(status.UNIMPLEMENTED, 'WIT'),
    );
    expect(ownBundle.current().x509Authorities).toEqual([]);
  });

  it.each(['PublishWITAuthority'])('%s is not offered', async (method) => {
    const { call } = await open();
    await expect(call(method)).rejects.toEqual(refused(status.UNIMPLEMENTED, method));
  });
});

describe('federated bundles', () => {
  it('are created, each with a status of its own', async () => {
    const { call, bundles } = await open();
    const response = await call('BatchCreateFederatedBundle', {
      bundle: [
        wire('b.test', 0, { sequenceNumber: 5n, refreshHintSeconds: 60 }),
        wire('a.test', 1),
        { ...wire('c.test', 1), trust_domain: 'spiffe://c.test' },
        wire('b.test', 2),
        { trust_domain: 'D' },
        {},
        { ...wire('e.test', 0), x509_authorities: [{ asn1: Buffer.of(1) }] },
      ],
      output_mask: { sequence_number: true },
    });
    const masked = (name: string, sequence: string) => ({
      trust_domain: name,
      x509_authorities: [],
      jwt_authorities: [],
      wit_authorities: [],
      sequence_number: sequence,
    });
    expect(response).toEqual({
      results: [
        { status: ok, bundle: masked('b.test', '5') },
        item(status.INVALID_ARGUMENT, 'the own one'),
        { status: ok, bundle: masked('c.test', '0') },
        item(status.ALREADY_EXISTS, 'b.test'),
        item(status.INVALID_ARGUMENT, 'trust_domain'),
        item(status.INVALID_ARGUMENT, 'trust_domain'),
        item(status.INVALID_ARGUMENT, 'no certificate'),
      ],
    });
    expect([...bundles.current().keys()]).toEqual(['b.test', 'c.test']);
  });

  it('are shown by name and page by page', async () => {
    const { call, bundles } = await open();
    for (const name of ['d.test', 'b.test', 'c.test']) await bundles.set(foreignBundle(name, [1]));
    expect(await call('GetFederatedBundle', { trust_domain: 'spiffe://c.test' })).toEqual(
      shown('c.test', 1),
    );
    const first = await call('ListFederatedBundles', { page_size: 2 });
    expect(first).toMatchObject({ bundles: [shown('b.test', 1), shown('c.test', 1)] });
    const page_token = Buffer.from('1:c.test').toString('base64url');
    const mask = { refresh_hint: true };
    expect(
      await call('ListFederatedBundles', { page_size: 2, page_token, output_mask: mask }),
    ).toMatchObject({
      bundles: [{ trust_domain: 'd.test', x509_authorities: [] }],
      next_page_token: '',
    });
    for (const request of [{ page_token: 'x' }, { page_size: -1 }])
      await expect(call('ListFederatedBundles', request)).rejects.toEqual(
        refused(status.INVALID_ARGUMENT, 'page_'),
      );
  });

  it('of which some SPIFFE IDs alone are accepted are not given to an agent that asks: it would accept all', async () => {
    const { call, bundles, relationships } = await open(silentLog, { isAgent: true });
    const relationship = {
      trustDomain: b,
      bundleEndpointUrl: 'https://b.test/bundle',
      profile: { type: 'https_web' },
      ...plainTerms,
    } as const;
    await relationships.create(relationship);
    await bundles.set(foreignBundle('b.test', [1]));
    const ask = () => call('GetFederatedBundle', { trust_domain: 'b.test' });
    expect(await ask()).toEqual(shown('b.test', 1));
    await relationships.update(b, { accept: [IdScope.parse('spiffe://b.test/payments/**', b)] });
    await expect(ask()).rejects.toEqual(refused(status.NOT_FOUND, 'SPIFFE IDs'));
  });

  it('that are not there, or are the own one, are not shown', async () => {
    const { call } = await open();
    await expect(call('GetFederatedBundle', { trust_domain: 'b.test' })).rejects.toEqual(
      refused(status.NOT_FOUND, 'b.test'),
    );
    await expect(call('GetFederatedBundle', { trust_domain: 'a.test' })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'the own one'),
    );
  });

  it('are updated in the masked fields alone', async () => {
    const { call, bundles } = await open();
    await bundles.set(foreignBundle('b.test', [0], { sequenceNumber: 5n, refreshHintSeconds: 60 }));
    const update = (bundle: object, input_mask?: object) =>
      call('BatchUpdateFederatedBundle', { bundle: [bundle], ...(input_mask && { input_mask }) });
    expect(await update(wire('b.test', 1), { refresh_hint: true, sequence_number: false })).toEqual(
      {
        results: [{ status: ok, bundle: shown('b.test', 0) }],
      },
    );
    const next = wire('b.test', 2, { sequenceNumber: 6n });
    expect(await update(next, { x509_authorities: true, sequence_number: true })).toEqual({
      results: [{ status: ok, bundle: shown('b.test', 2, { sequence_number: '6' }) }],
    });
    expect(await update(wire('b.test', 3, { sequenceNumber: 4n }))).toEqual({
      results: [item(status.FAILED_PRECONDITION, 'below 6')],
    });
    expect(await update(wire('c.test', 3))).toEqual({
      results: [item(status.NOT_FOUND, 'c.test')],
    });
  });

  it('are set whether or not they are there, and back only when told (FED-7)', async () => {
    const { call, bundles } = await open();
    const set = (bundle: object[], more = {}) =>
      call('BatchSetFederatedBundle', { bundle, ...more });
    expect(
      await set([
        wire('b.test', 0, { sequenceNumber: 5n }),
        wire('b.test', 1, { sequenceNumber: 6n }),
        wire('b.test', 2, { sequenceNumber: 4n }),
      ]),
    ).toMatchObject({
      results: [{ status: ok }, { status: ok }, item(status.FAILED_PRECONDITION, 'below 6')],
    });
    const back = [wire('b.test', 2, { sequenceNumber: 4n })];
    expect(await set(back, { reset_sequence: true })).toMatchObject({ results: [{ status: ok }] });
    expect(bundles.get(b)?.sequenceNumber).toBe(4n);
  });

  it('of 200 authorities each pass whole, and lists of them page by page (F18)', async () => {
    const { call } = await open();
    const x509_authorities = Array.from({ length: 200 }, () => ({
      asn1: Buffer.from(createThrowawayCa(Date.now(), randomBytes)),
    }));
    const bundle = Array.from({ length: 12 }, (_, i) => ({
      trust_domain: `d${i}.test`,
      x509_authorities,
    }));
    for (const each of bundle) {
      expect(await call('BatchSetFederatedBundle', { bundle: [each] })).toMatchObject({
        results: [{ status: ok, bundle: each }],
      });
    }
    const names: string[] = [];
    let page_token = '';
    do {
      const page = Object(await call('ListFederatedBundles', { page_size: 5, page_token }));
      names.push(...page.bundles.map(({ trust_domain }: { trust_domain: string }) => trust_domain));
      page_token = page.next_page_token;
    } while (page_token !== '');
    expect(names.toSorted()).toEqual(bundle.map(({ trust_domain }) => trust_domain).toSorted());
  });

  it('more than 1000 at once are refused', async () => {
    const { call } = await open();
    const bundle = Array.from({ length: 1001 }, () => ({}));
    await expect(call('BatchCreateFederatedBundle', { bundle })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'at most 1000'),
    );
  });
});

describe('BatchDeleteFederatedBundle', () => {
  async function withEntries(log?: Log) {
    const world = await open(log);
    await world.bundles.set(foreignBundle('b.test'));
    for (const [name, federatesWith] of [
      ['one', ['b.test']],
      ['two', ['b.test', 'c.test']],
      ['three', ['c.test']],
      ['four', []],
    ] as const)
      await world.entries.create(testDraft(name, undefined, { id: name, federatesWith }));
    const federating = () =>
      world.entries
        .list({}, { pageSize: 0, pageToken: '' })
        .entries.map(({ id, federatesWith }) => [id, ...federatesWith.map(({ name }) => name)]);
    const remove = (mode: string, ...trust_domains: string[]) =>
      world.call('BatchDeleteFederatedBundle', { mode, trust_domains });
    return { ...world, federating, remove };
  }
  const before = [['four'], ['one', 'b.test'], ['three', 'c.test'], ['two', 'b.test', 'c.test']];

  it('RESTRICT deletes what no entry federates with', async () => {
    const { remove, federating, bundles, call } = await withEntries();
    expect(await remove('RESTRICT', 'b.test')).toEqual({
      results: [{ ...item(status.FAILED_PRECONDITION, '2 registration'), trust_domain: 'b.test' }],
    });
    expect(await call('BatchDeleteFederatedBundle', { trust_domains: ['b.test'] })).toMatchObject({
      results: [item(status.FAILED_PRECONDITION)],
    });
    await bundles.set(foreignBundle('d.test'));
    expect(await remove('RESTRICT', 'd.test', 'd.test', 'a.test', 'c.test')).toEqual({
      results: [
        { status: ok, trust_domain: 'd.test' },
        { ...item(status.NOT_FOUND), trust_domain: 'd.test' },
        { ...item(status.INVALID_ARGUMENT, 'the own one'), trust_domain: 'a.test' },
        { ...item(status.NOT_FOUND), trust_domain: 'c.test' },
      ],
    });
    expect(federating()).toEqual(before);
    expect([...bundles.current().keys()]).toEqual(['b.test']);
  });

  it('DELETE deletes the entries that federate with it too', async () => {
    const { remove, federating, bundles } = await withEntries();
    expect(await remove('DELETE', 'b.test')).toMatchObject({ results: [{ status: ok }] });
    expect(federating()).toEqual([['four'], ['three', 'c.test']]);
    expect(bundles.get(b)).toBeUndefined();
  });

  it('DISSOCIATE takes it from the entries that federate with it', async () => {
    const { remove, federating, bundles } = await withEntries();
    expect(await remove('DISSOCIATE', 'spiffe://b.test')).toMatchObject({
      results: [{ status: ok }],
    });
    expect(federating()).toEqual([['four'], ['one'], ['three', 'c.test'], ['two', 'c.test']]);
    expect(bundles.get(b)).toBeUndefined();
  });

  it('leaves the entries when there is no such bundle', async () => {
    const { remove, federating } = await withEntries();
    expect(await remove('DELETE', 'c.test')).toMatchObject({ results: [item(status.NOT_FOUND)] });
    expect(federating()).toEqual(before);
  });

  it('deletes what cannot be read', async () => {
    const { bucket, remove } = await withEntries();
    await bucket.put(storedBundleKey('e.test'), Buffer.from('damaged'));
    expect(await remove('RESTRICT', 'e.test')).toMatchObject({ results: [{ status: ok }] });
  });

  it('knows no other mode', async () => {
    const { call } = await open();
    await expect(call('BatchDeleteFederatedBundle', { mode: 7 })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'mode'),
    );
  });
});
