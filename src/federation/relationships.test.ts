import { describe, expect, it } from 'vitest';
import { openFederation } from '../../test/fakes/open-federation.ts';
import { type ErrorCode, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import {
  type FederationRelationship,
  parseEndpointSpiffeId,
  parseEndpointUrl,
} from './relationship.ts';

const b = TrustDomain.parse('b.test');
const code = (is: ErrorCode) => expect.objectContaining({ code: is });
const web: FederationRelationship = {
  trustDomain: b,
  bundleEndpointUrl: 'https://b.test/bundle',
  profile: { type: 'https_web' },
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

  it.each([
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

describe('the SPIFFE ID of an endpoint', () => {
  it('has a path, as that of an X509-SVID', () => {
    expect(parseEndpointSpiffeId('spiffe://b.test/e').path).toBe('/e');
    for (const text of ['', 'spiffe://b.test', 'https://b.test/e', 'spiffe://B/e'])
      expect(() => parseEndpointSpiffeId(text)).toThrow(code('ERR_RELATIONSHIP'));
  });
});
