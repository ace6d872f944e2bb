import { beforeAll, describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { FakeSvidIssuer } from '../../test/fakes/fake-svid-issuer.ts';
import { createSvidPlane, fakeProcess, type SvidPlane } from '../../test/fakes/svid-plane.ts';
import { TrustDomain, type WorkloadUpdate } from '../spiffe/index.ts';
import { parseX509Context, type X509SvidResponse } from './x509-context.ts';

type SvidMessage = NonNullable<X509SvidResponse['svids']>[number];

let plane: SvidPlane;
let web: SvidMessage;
let db: SvidMessage;

function messageOf(update: WorkloadUpdate | undefined, index: number): SvidMessage {
  const identity = update?.identities[index];
  if (update === undefined || identity === undefined) throw new Error('no identity');
  return {
    spiffe_id: identity.spiffeId.toString(),
    x509_svid: Buffer.concat(identity.certificateChain),
    x509_svid_key: identity.privateKey,
    bundle: Buffer.concat(update.bundle.x509Authorities.map(({ certificate }) => certificate)),
  };
}

beforeAll(async () => {
  plane = createSvidPlane();
  plane.entries.put(fakeEntry('web'), fakeEntry('db'));
  const { last } = await plane.attach(fakeProcess());
  web = messageOf(last, 0);
  db = messageOf(last, 1);
});

const parse = (response: X509SvidResponse) => parseX509Context(response, plane.clock.now());

describe('parseX509Context', () => {
  it('reads SVIDs in order, with the bundles of all trust domains (WLAPI-9, WLAPI-16)', () => {
    const foreign = new FakeSvidIssuer(plane.clock, TrustDomain.parse('b.test'), () => undefined);
    const [authority] = foreign.bundle().x509Authorities;
    const context = parse({
      svids: [{ ...web, hint: 'internal' }, db],
      federated_bundles: { 'spiffe://b.test': authority?.certificate ?? new Uint8Array() },
    });
    expect(context.svids.map(({ svid, hint }) => [svid.spiffeId.path, hint])).toEqual([
      ['/web', 'internal'],
      ['/db', ''],
    ]);
    expect([...context.bundles.keys()].sort()).toEqual(['a.test', 'b.test']);
    expect(context.bundles.get('b.test')?.x509Authorities).toHaveLength(1);
  });

  it('takes the first of two SVIDs with the same hint (WLAPI-8)', () => {
    const hint = 'internal';
    const { svids } = parse({
      svids: [
        { ...web, hint },
        { ...db, hint },
      ],
    });
    expect(svids.map(({ svid }) => svid.spiffeId.path)).toEqual(['/web']);
  });

  it.each<[string, () => X509SvidResponse]>([
    ['no SVID', () => ({})],
    ['an empty list', () => ({ svids: [] })],
    ['an empty SVID', () => ({ svids: [{}] })],
    ['no SPIFFE ID', () => ({ svids: [{ ...web, spiffe_id: '' }] })],
    ['the SPIFFE ID of another', () => ({ svids: [{ ...web, spiffe_id: 'spiffe://a.test/db' }] })],
    ['no certificate', () => ({ svids: [{ ...web, x509_svid: new Uint8Array() }] })],
    ['PEM', () => ({ svids: [{ ...web, x509_svid: Buffer.from('-----BEGIN CERTIFICATE-----') }] })],
    ['no key', () => ({ svids: [{ ...web, x509_svid_key: new Uint8Array() }] })],
    [
      'the key of another',
      () => ({ svids: [{ ...web, x509_svid_key: db.x509_svid_key ?? Buffer.alloc(0) }] }),
    ],
    ['no bundle', () => ({ svids: [{ ...web, bundle: new Uint8Array() }] })],
    [
      'half a bundle',
      () => ({ svids: [{ ...web, bundle: (web.bundle ?? Buffer.alloc(0)).subarray(0, 40) }] }),
    ],
    [
      'a bare trust domain as key',
      () => ({ svids: [web], federated_bundles: { 'b.test': Buffer.alloc(0) } }),
    ],
    [
      'an ID with a path as key',
      () => ({ svids: [web], federated_bundles: { 'spiffe://b.test/x': Buffer.alloc(0) } }),
    ],
  ])('refuses %s (WLAPI-5, WLAPI-7)', (_, response) => {
    expect(() => parse(response())).toThrowError(
      expect.objectContaining({ code: 'ERR_CLIENT_RESPONSE' }),
    );
  });

  it('refuses an SVID that has expired, or is not valid below its bundle', () => {
    const stranger = new FakeSvidIssuer(plane.clock, TrustDomain.parse('a.test'), () => undefined);
    const bundle = stranger.bundle().x509Authorities[0]?.certificate ?? new Uint8Array();
    expect(() => parse({ svids: [{ ...web, bundle }] })).toThrowError(/invalid/);
    const later = plane.clock.now() + 2 * 3_600_000;
    expect(() => parseX509Context({ svids: [web] }, later)).toThrowError(/expired/);
  });

  it('never quotes a key it refuses', () => {
    const secret = Buffer.from('a very secret key');
    const attempt = () => parse({ svids: [{ ...web, x509_svid_key: secret }] });
    expect(attempt).toThrowError(/a private key is not PKCS#8/);
    expect(attempt).not.toThrowError(/secret/);
  });
});
