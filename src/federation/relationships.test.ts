import { describe, expect, it } from 'vitest';
import { openFederation, testCertificate } from '../../test/fakes/open-federation.ts';
import { type ErrorCode, encodePem, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import {
  type FederationRelationship,
  parseAccept,
  parseEndpointSpiffeId,
  parseEndpointUrl,
  parseWebCa,
  plainTerms,
  publisherOf,
} from './relationship.ts';

const b = TrustDomain.parse('b.test');
const code = (is: ErrorCode) => expect.objectContaining({ code: is });
const web: FederationRelationship = {
  trustDomain: b,
  bundleEndpointUrl: 'https://b.test/bundle',
  profile: { type: 'https_web' },
  ...plainTerms,
};
const spiffe: FederationRelationship['profile'] = {
  type: 'https_spiffe',
  endpointSpiffeId: SpiffeId.parse('spiffe://b.test/spire/server'),
};

describe('relationships', () => {
  it('are kept, changed and found again', async () => {
    const { relationships, store, clock } = await openFederation();
    await relationships.create(web);
    expect(relationships.get(b)).toEqual(web);
    await relationships.update(b, { profile: spiffe });
    await relationships.update(b, { bundleEndpointUrl: 'https://b.test:8443/' });
    const again = (await openFederation({ store, clock })).relationships;
    const changed = { ...web, profile: spiffe, bundleEndpointUrl: 'https://b.test:8443/' };
    expect(again.list({ pageSize: 0, pageToken: '' }).items).toEqual([changed]);
    await again.delete(b);
    expect(again.get(b)).toBeUndefined();
  });

  it('are created once, and only changed or deleted where they are', async () => {
    const { relationships } = await openFederation();
    await expect(relationships.update(b, {})).rejects.toEqual(code('ERR_RELATIONSHIP_NOT_FOUND'));
    await expect(relationships.delete(b)).rejects.toEqual(code('ERR_RELATIONSHIP_NOT_FOUND'));
    await relationships.create(web);
    await expect(relationships.create(web)).rejects.toEqual(code('ERR_RELATIONSHIP_EXISTS'));
  });

  it('with the own trust domain are refused', async () => {
    const { relationships } = await openFederation();
    const own = { ...web, trustDomain: TrustDomain.parse('a.test') };
    await expect(relationships.create(own)).rejects.toEqual(code('ERR_FEDERATION_TRUST_DOMAIN'));
  });

  it('are not written again when nothing changes', async () => {
    const { relationships, bucket } = await openFederation();
    await relationships.create({ ...web, profile: spiffe });
    const [before] = (await bucket.list('relationship.')).records;
    await relationships.update(b, { profile: { ...spiffe } });
    expect((await bucket.list('relationship.')).records).toEqual([before]);
  });

  it('keep the terms they were made on', async () => {
    const { relationships, store, clock } = await openFederation();
    const webCa = encodePem('CERTIFICATE', testCertificate(0));
    await relationships.create({
      ...web,
      accept: parseAccept(['spiffe://b.test/pay/**', 'spiffe://b.test/x'], b),
      publisherId: SpiffeId.parse('spiffe://hub.test/publisher'),
      awaitAck: true,
      webCa,
      source: 'config',
    });
    await relationships.update(b, { webCa });
    const again = (await openFederation({ store, clock })).relationships.require(b);
    expect(again.accept.map(String)).toEqual(['spiffe://b.test/pay/**', 'spiffe://b.test/x']);
    expect(publisherOf(again).toString()).toBe('spiffe://hub.test/publisher');
    expect(again).toMatchObject({ awaitAck: true, webCa, source: 'config' });
  });

  it('are read as the first release wrote them', async () => {
    const ground = await openFederation();
    await ground.relationships.create(web);
    const [stored] = (await ground.bucket.list('relationship.')).records;
    const first =
      '{"v":1,"trustDomain":"b.test","url":"https://b.test/","profile":{"type":"https_web"}}';
    await ground.bucket.put(stored?.key ?? '', Buffer.from(first));
    const { relationships } = await openFederation(ground);
    expect(relationships.get(b)).toEqual({ ...web, bundleEndpointUrl: 'https://b.test/' });
  });

  it.each([
    '{"v":3}',
    '{"v":2}',
    '{"v":1,"trustDomain":"b.test","url":"http://b.test","profile":{"type":"https_web"}}',
  ])('that cannot be read are left out: %s', async (text) => {
    const ground = await openFederation();
    await ground.relationships.create(web);
    const [stored] = (await ground.bucket.list('relationship.')).records;
    await ground.bucket.put(stored?.key ?? '', Buffer.from(text));
    const { relationships } = await openFederation(ground);
    expect(relationships.list({ pageSize: 0, pageToken: '' }).items).toEqual([]);
    await relationships.delete(b);
  });
});

describe('a bundle endpoint URL', () => {
  it.each([
    'https://b.test',
    'https://b.test:8443/bundle?x=y',
    'https://[2001:db8::1]:443/',
    'https://192.0.2.1/b',
    'HTTPS://B.test/',
  ])('may be %s', (url) => {
    expect(parseEndpointUrl(url)).toBe(url);
  });

  it.each([
    '',
    'b.test',
    'http://b.test/',
    'ftp://b.test/',
    'https:/b.test',
    'https:b.test',
    'https://',
    'https:///path',
    'https://user@b.test/',
    'https://user:secret@b.test/',
    'https://@b.test/',
    'https://b.test/#fragment',
    'https://b.test\\@c.test/',
    'https://b.test/a b',
    ' https://b.test/',
    'https://b.test/\n',
    'https://b\t.test/',
    'https://bücher.test/',
    'https://b.test:99999/',
    'https://b.test:/',
    'https://[b]/',
    'https://b%2etest/',
    `https://b.test/${'x'.repeat(2048)}`,
  ])('may not be %j (FED-4)', (url) => {
    expect(() => parseEndpointUrl(url)).toThrow(code('ERR_RELATIONSHIP'));
  });
});

describe('who signs broadcast bundles', () => {
  it('is the server of the endpoint, else that of the trust domain', () => {
    expect(publisherOf(web).toString()).toBe('spiffe://b.test/spire/server');
    const endpointSpiffeId = SpiffeId.parse('spiffe://hub.test/e');
    const profile = { type: 'https_spiffe', endpointSpiffeId } as const;
    expect(publisherOf({ ...web, profile }).toString()).toBe('spiffe://hub.test/e');
  });
});

describe('what a relationship accepts', () => {
  it('is of its own trust domain, each scope once, and not too much', () => {
    expect(parseAccept(['spiffe://b.test/a', 'spiffe://b.test/a'], b)).toHaveLength(1);
    expect(() => parseAccept(['spiffe://c.test/a'], b)).toThrow(code('ERR_ID_SCOPE'));
    const many = Array.from({ length: 65 }, (_, i) => `spiffe://b.test/${i}`);
    expect(() => parseAccept(many, b)).toThrow(code('ERR_RELATIONSHIP'));
  });
});

describe('a private web CA', () => {
  it.each([
    '',
    'x',
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
    ' '.repeat(65_537),
  ])('is certificates in PEM, not %j', (text) =>
    expect(() => parseWebCa(text)).toThrow(code('ERR_RELATIONSHIP')),
  );
});

describe('the SPIFFE ID of an endpoint', () => {
  it('has a path, as that of an X509-SVID', () => {
    expect(parseEndpointSpiffeId('spiffe://b.test/e').path).toBe('/e');
    for (const text of ['', 'spiffe://b.test', 'https://b.test/e', 'spiffe://B/e'])
      expect(() => parseEndpointSpiffeId(text)).toThrow(code('ERR_RELATIONSHIP'));
  });
});
