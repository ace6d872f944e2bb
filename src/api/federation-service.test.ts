import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import {
  foreignBundle,
  openFederation,
  testCertificate,
} from '../../test/fakes/open-federation.ts';
import type { PeerStatus } from '../federation/client/index.ts';
import { silentLog } from '../ops/index.ts';
import { encodePem, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { buildBundleMessage } from '../sync/index.ts';
import { createFederationService } from './federation-service.ts';

const b = TrustDomain.parse('b.test');
const webCa = encodePem('CERTIFICATE', testCertificate(0));
const web = { trust_domain: 'b.test', bundle_endpoint_url: 'https://b.test/', https_web: {} };
const spiffe = { https_spiffe: { endpoint_spiffe_id: 'spiffe://b.test/e' } };
const refused = (code: status, words: string) =>
  expect.objectContaining({ code, details: expect.stringContaining(words) });

async function open(peer?: Partial<PeerStatus>, heardAt?: number) {
  const { relationships, bundles: foreignBundles } = await openFederation();
  const refreshed: string[] = [];
  const status: PeerStatus = {
    trustDomain: b,
    lastAttemptAt: undefined,
    lastSuccessAt: undefined,
    lastError: undefined,
    sequence: undefined,
    etag: undefined,
    nextAttemptAt: undefined,
    chain: [],
    ...peer,
  };
  const call = await serveForTest(
    createFederationService({
      trustDomain: TrustDomain.parse('a.test'),
      relationships,
      foreignBundles,
      client: {
        refresh: async ({ name }) => void refreshed.push(name),
        status: () => (peer === undefined ? undefined : status),
      },
      heardAt: () => heardAt,
      log: silentLog,
    }),
  );
  return { call, relationships, foreignBundles, refreshed };
}

describe('the federation service', () => {
  it('makes a relationship that accepts but a part before its bundle is trusted, or neither', async () => {
    const { call, relationships, foreignBundles } = await open();
    const acceptedWith: (readonly string[] | undefined)[] = [];
    foreignBundles.watch(() =>
      acceptedWith.push(relationships.get(b)?.accept.map((scope) => scope.toString())),
    );
    const terms = { accept: ['spiffe://b.test/pay/**'] };
    const create = (sequenceNumber: bigint) => {
      const bundle = buildBundleMessage(foreignBundle('b.test', [0], { sequenceNumber }));
      const relationship = { ...web, trust_domain_bundle: bundle };
      return call('CreateRelationship', { relationship, terms });
    };
    await create(2n);
    expect(acceptedWith).toEqual([terms.accept]);
    await relationships.delete(b);
    await expect(create(1n)).rejects.toEqual(refused(status.FAILED_PRECONDITION, 'below 2'));
    expect(relationships.get(b)).toBeUndefined();
    expect(foreignBundles.get(b)?.sequenceNumber).toBe(2n);
  });

  it('makes relationships with their terms, and changes the fields of the masks', async () => {
    const { call, relationships } = await open();
    const terms = { accept: ['spiffe://b.test/pay/**'], await_ack: true, web_ca: webCa };
    expect(await call('CreateRelationship', { relationship: web, terms })).toMatchObject({
      relationship: web,
      terms: { ...terms, publisher_id: '' },
      publisher_id: 'spiffe://b.test/spire/server',
      configured: false,
      fetches: { last_attempt_at: '0', has_bundle: false, sequence_number: '' },
    });
    const update = (more: object) =>
      call('UpdateRelationship', { relationship: { trust_domain: 'b.test', ...spiffe }, ...more });
    await update({
      terms: { publisher_id: 'spiffe://b.test/p', accept: [] },
      terms_mask: { publisher_id: true },
    });
    expect(relationships.require(b)).toMatchObject({ awaitAck: true, webCa });
    await expect(update({ input_mask: { bundle_endpoint_profile: true } })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'web CA'),
    );
    expect(
      await update({
        input_mask: { bundle_endpoint_profile: true },
        terms_mask: { accept: true, await_ack: true, web_ca: true },
      }),
    ).toMatchObject({
      relationship: spiffe,
      terms: { accept: [], publisher_id: 'spiffe://b.test/p', await_ack: false, web_ca: '' },
    });
  });

  it.each([
    ['INVALID_ARGUMENT', { accept: ['spiffe://c.test/x'] }],
    ['INVALID_ARGUMENT', { accept: ['spiffe://b.test/*'] }],
    ['INVALID_ARGUMENT', { publisher_id: 'spiffe://b.test' }],
    ['INVALID_ARGUMENT', { web_ca: 'no PEM' }],
  ] as const)('refuses with %s the terms %j', async (code, terms) => {
    const { call, relationships } = await open();
    await expect(call('CreateRelationship', { relationship: web, terms })).rejects.toEqual(
      refused(status[code], ''),
    );
    expect(relationships.all()).toEqual([]);
  });

  it('shows when a bundle was last heard over NATS', async () => {
    const { call, relationships } = await open(undefined, 1_800_000_000_000);
    await call('CreateRelationship', { relationship: web });
    expect(relationships.all()).toHaveLength(1);
    expect(await call('GetRelationship', { trust_domain: 'b.test' })).toMatchObject({
      last_heard_at: '1800000000',
    });
  });

  it('leaves no bundle of a relationship that is not made', async () => {
    const { call, relationships, foreignBundles } = await open();
    const trust_domain_bundle = buildBundleMessage(foreignBundle('b.test'));
    const relationship = { ...web, trust_domain_bundle };
    relationships.create = () =>
      Promise.reject(new TrustplaneError('ERR_FEDERATION_LIMIT', 'full'));
    await expect(call('CreateRelationship', { relationship })).rejects.toEqual(
      refused(status.RESOURCE_EXHAUSTED, 'full'),
    );
    expect(foreignBundles.get(b)).toBeUndefined();
  });

  it('shows how fetching goes, and fetches', async () => {
    const { call, foreignBundles, refreshed } = await open({
      lastAttemptAt: 9_000,
      lastSuccessAt: 8_000,
      nextAttemptAt: 10_000,
      lastError: { code: 'ERR_FETCH_TIMEOUT', message: 'too late' },
      etag: '"x"',
      chain: [
        { name: 'spiffe://b.test/e', serialNumber: '01', notAfter: 7_000, fingerprint: 'ab' },
      ],
    });
    await call('CreateRelationship', { relationship: web });
    await foreignBundles.set(foreignBundle('b.test', [0], { sequenceNumber: 2n ** 65n }));
    const shown = {
      fetches: {
        last_attempt_at: '9',
        last_success_at: '8',
        next_attempt_at: '10',
        error_code: 'ERR_FETCH_TIMEOUT',
        error: 'too late',
        has_bundle: true,
        sequence_number: String(2n ** 65n),
        etag: '"x"',
        chain: [{ name: 'spiffe://b.test/e', serial_number: '01', not_after: '7' }],
      },
    };
    expect(await call('GetRelationship', { trust_domain: 'b.test' })).toMatchObject(shown);
    expect(await call('ListRelationships', {})).toMatchObject({ relationships: [shown] });
    expect(await call('RefreshBundle', { trust_domain: 'spiffe://b.test' })).toMatchObject(shown);
    expect(refreshed).toEqual(['b.test']);
    await expect(call('GetRelationship', { trust_domain: 'c.test' })).rejects.toEqual(
      refused(status.NOT_FOUND, 'c.test'),
    );
  });

  it('leaves what the configuration keeps to the configuration', async () => {
    const { call, relationships } = await open();
    await call('CreateRelationship', { relationship: web });
    await relationships.update(b, { source: 'config' });
    expect(await call('GetRelationship', { trust_domain: 'b.test' })).toMatchObject({
      configured: true,
    });
    await expect(
      call('UpdateRelationship', { relationship: web, terms_mask: { await_ack: true } }),
    ).rejects.toEqual(refused(status.FAILED_PRECONDITION, 'federation.relationships'));
  });
});
