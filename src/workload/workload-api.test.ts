import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { bundleOf, FakeSvidIssuer } from '../../test/fakes/fake-svid-issuer.ts';
import { FakeWorkloadSource } from '../../test/fakes/fake-workload-source.ts';
import { createSvidPlane, fakeProcess, type SvidPlane } from '../../test/fakes/svid-plane.ts';
import { textBundle, textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import {
  callUnary,
  type Fetching,
  fetchStream,
  serveWorkloadApi,
  type WorkloadEndpoint,
} from '../../test/fakes/workload-endpoint.ts';
import {
  type Bundle,
  splitDerSequence,
  TrustDomain,
  type WorkloadSource,
} from '../spiffe/index.ts';
import type { PeerProcess } from '../wire/index.ts';
import type { WorkloadApiOptions } from './workload-api.ts';

const endpoints: WorkloadEndpoint[] = [];
afterEach(async () => {
  await Promise.all(endpoints.splice(0).map((endpoint) => endpoint.close()));
});

async function serve(
  source: WorkloadSource<PeerProcess>,
  options: Partial<WorkloadApiOptions> = {},
): Promise<WorkloadEndpoint> {
  const endpoint = await serveWorkloadApi(source, options);
  endpoints.push(endpoint);
  return endpoint;
}

/** The live identity model with this test as the only workload. */
function livePlane(): SvidPlane & { readonly live: WorkloadSource<PeerProcess> } {
  const plane = createSvidPlane();
  const self = fakeProcess();
  return { ...plane, live: { attach: (_, listener) => plane.source.attach(self, listener) } };
}

async function svidsOf(fetching: Fetching) {
  const message = await fetching.next();
  if ('code' in message) throw new Error(`ended: ${message.code} ${message.details}`);
  return message;
}

const methods = [
  'FetchX509SVID',
  'FetchX509Bundles',
  'FetchJWTBundles',
  'FetchWITSVID',
  'FetchWITBundles',
];
const unaryMethods: readonly (readonly [string, object])[] = [
  ['FetchJWTSVID', { audience: ['a'] }],
  ['ValidateJWTSVID', { audience: 'a', svid: 'x' }],
];

describe('the security header', () => {
  const wrong: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
    ['none', []],
    ['TRUE', [['workload.spiffe.io', 'TRUE']]],
    ['false', [['workload.spiffe.io', 'false']]],
    ['an empty one', [['workload.spiffe.io', '']]],
    [
      'two',
      [
        ['workload.spiffe.io', 'true'],
        ['workload.spiffe.io', 'true'],
      ],
    ],
    ['another name', [['workload-spiffe-io', 'true']]],
  ];

  it.each(wrong)('is required of every method: not %s (WLEP-2, WLEP-7)', async (_, headers) => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const { client } = await serve(source);
    for (const method of methods) {
      const outcome = await fetchStream(client, method, headers).next();
      expect([method, outcome]).toMatchObject([method, { code: status.INVALID_ARGUMENT }]);
    }
    for (const [method, request] of unaryMethods) {
      const outcome = await callUnary(client, method, request, headers);
      expect([method, outcome]).toMatchObject([method, { code: status.INVALID_ARGUMENT }]);
    }
    expect(source.attached).toBe(0);
  });
});

describe('WIT methods', () => {
  it('answer Unimplemented (WLAPI-17, WLEP-7)', async () => {
    const { client } = await serve(new FakeWorkloadSource<PeerProcess>(textUpdate([])));
    for (const method of ['FetchWITSVID', 'FetchWITBundles']) {
      expect(await fetchStream(client, method).next()).toMatchObject({
        code: status.UNIMPLEMENTED,
      });
    }
  });
});

describe('FetchX509SVID', () => {
  it('sends each SVID as DER with its PKCS#8 key and its bundle (WLAPI-7)', async () => {
    const plane = livePlane();
    plane.entries.put(fakeEntry('web', { hint: 'internal' }), fakeEntry('db'));
    const { client } = await serve(plane.live);
    const { svids, crl, federated_bundles } = await svidsOf(fetchStream(client, 'FetchX509SVID'));
    expect(svids?.map(({ spiffe_id, hint }) => [spiffe_id, hint])).toEqual([
      ['spiffe://a.test/web', 'internal'],
      ['spiffe://a.test/db', undefined],
    ]);
    expect([crl, federated_bundles]).toEqual([[], {}]);
    for (const { spiffe_id, x509_svid, x509_svid_key, bundle } of svids ?? []) {
      const [leaf, ...rest] = splitDerSequence(x509_svid).map((der) => new X509Certificate(der));
      const [authority] = splitDerSequence(bundle).map((der) => new X509Certificate(der));
      if (leaf === undefined || authority === undefined) throw new Error('no certificate');
      const key = createPrivateKey({ key: x509_svid_key, format: 'der', type: 'pkcs8' });
      const spki = { format: 'der', type: 'spki' } as const;
      expect(rest).toEqual([]);
      expect(leaf.subjectAltName).toBe(`URI:${spiffe_id}`);
      expect(createPublicKey(key).export(spki)).toEqual(leaf.publicKey.export(spki));
      expect(leaf.verify(authority.publicKey)).toBe(true);
    }
  });

  it('concatenates chain and authorities in order, nothing between them (WLAPI-7)', async () => {
    const bundles = [textBundle('a.test', ['ca 1', 'ca 2'])];
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')], bundles));
    const { client } = await serve(source);
    const { svids } = await svidsOf(fetchStream(client, 'FetchX509SVID'));
    expect(svids?.[0]?.x509_svid.toString()).toBe('leaf /web 1intermediate');
    expect(svids?.[0]?.bundle.toString()).toBe('ca 1ca 2');
  });

  it('asks for neither TLS nor a login, and takes X.509 authorities only (WLEP-3, WLAPI-15)', async () => {
    const token = {
      keyId: 'k',
      publicKey: Buffer.from('spki'),
      expiresAt: undefined,
      tainted: false,
    };
    const bundle = {
      ...textBundle('a.test', ['ca']),
      jwtAuthorities: [token],
      witAuthorities: [token],
    };
    const source = new FakeWorkloadSource<PeerProcess>(
      textUpdate([textIdentity('/web')], [bundle]),
    );
    const { client } = await serve(source);
    const { svids } = await svidsOf(fetchStream(client, 'FetchX509SVID'));
    expect(svids?.[0]?.bundle.toString()).toBe('ca');
    const { bundles } = await svidsOf(fetchStream(client, 'FetchX509Bundles'));
    expect(bundles?.['spiffe://a.test']?.toString()).toBe('ca');
  });

  it('keys federated bundles by the ID of their trust domain, and leaves out empty ones (WLAPI-9)', async () => {
    const bundles = [
      textBundle('a.test', ['ca a']),
      textBundle('b.test', ['ca b']),
      textBundle('c.test', []),
    ];
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')], bundles));
    const { client } = await serve(source);
    const { federated_bundles } = await svidsOf(fetchStream(client, 'FetchX509SVID'));
    expect(federated_bundles).toEqual({ 'spiffe://b.test': Buffer.from('ca b') });
  });

  it('sends the whole state with each change, in the same order (WLAPI-2, WLAPI-16)', async () => {
    const plane = livePlane();
    plane.entries.put(fakeEntry('first'), fakeEntry('second'));
    const { client } = await serve(plane.live);
    const fetching = fetchStream(client, 'FetchX509SVID');
    const before = await svidsOf(fetching);
    await plane.clock.advanceAsync(1_800_001);
    const after = await svidsOf(fetching);
    for (const { svids } of [before, after]) {
      expect(svids?.map(({ spiffe_id }) => spiffe_id)).toEqual([
        'spiffe://a.test/first',
        'spiffe://a.test/second',
      ]);
    }
    expect(after.svids?.[0]?.x509_svid_key).not.toEqual(before.svids?.[0]?.x509_svid_key);
    plane.entries.delete('first');
    const last = await svidsOf(fetching);
    expect(last.svids?.map(({ spiffe_id }) => spiffe_id)).toEqual(['spiffe://a.test/second']);
  });

  it('is denied without an identity (WLAPI-10, WLEP-7)', async () => {
    const plane = livePlane();
    const endpoint = await serve(plane.live);
    expect(await fetchStream(endpoint.client, 'FetchX509SVID').next()).toEqual({
      code: status.PERMISSION_DENIED,
      details: expect.stringMatching(/^no identity issued: no registration entry matches/),
    });
    expect(await plane.metric('trustplane_svid_sessions')).toBe(0);
  });

  it('ends with PermissionDenied when the entitlement ends, and serves again when it is back (WLAPI-10)', async () => {
    const plane = livePlane();
    const entry = fakeEntry('web');
    plane.entries.put(entry);
    const { client } = await serve(plane.live);
    const fetching = fetchStream(client, 'FetchX509SVID');
    await svidsOf(fetching);
    plane.entries.delete('web');
    expect(await fetching.next()).toMatchObject({ code: status.PERMISSION_DENIED });
    plane.entries.put(entry);
    expect((await svidsOf(fetchStream(client, 'FetchX509SVID'))).svids).toHaveLength(1);
  });

  it('tells how the attestation failed', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const { client } = await serve(source);
    const fetching = fetchStream(client, 'FetchX509SVID');
    await svidsOf(fetching);
    source.loseAll(new Error('secret detail'));
    expect(await fetching.next()).toEqual({ code: status.INTERNAL, details: 'internal error' });
  });

  it('sends nothing when what it would send is the same', async () => {
    const identity = textIdentity('/web');
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([identity]));
    const endpoint = await serve(source);
    const fetching = fetchStream(endpoint.client, 'FetchX509SVID');
    await svidsOf(fetching);
    source.publish(textUpdate([identity]));
    source.publish(textUpdate([textIdentity('/web', 2)]));
    expect((await svidsOf(fetching)).svids?.[0]?.x509_svid.toString()).toMatch('leaf /web 2');
    const sent = 'trustplane_workload_responses_total{method="FetchX509SVID"}';
    expect(await endpoint.metric(sent)).toBe(2);
  });
});

describe('FetchX509Bundles', () => {
  const bundles = [textBundle('a.test', ['ca a']), textBundle('b.test', ['ca b', 'ca c'])];

  it('has the own trust domain and the federated ones (WLAPI-9, WLAPI-11)', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')], bundles));
    const { client } = await serve(source);
    const message = await svidsOf(fetchStream(client, 'FetchX509Bundles'));
    expect(message.bundles).toEqual({
      'spiffe://a.test': Buffer.from('ca a'),
      'spiffe://b.test': Buffer.from('ca bca c'),
    });
    expect(message.crl).toEqual([]);
  });

  it('sends nothing when only an SVID was renewed', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')], bundles));
    const endpoint = await serve(source);
    const fetching = fetchStream(endpoint.client, 'FetchX509Bundles');
    await svidsOf(fetching);
    source.publish(textUpdate([textIdentity('/web', 2)], bundles));
    source.publish(textUpdate([textIdentity('/web', 2)], bundles.slice(0, 1)));
    expect(Object.keys((await svidsOf(fetching)).bundles ?? {})).toEqual(['spiffe://a.test']);
    const sent = 'trustplane_workload_responses_total{method="FetchX509Bundles"}';
    expect(await endpoint.metric(sent)).toBe(2);
  });

  it('is denied to callers without an identity unless verifiers are allowed (WLAPI-10, WLAPI-11)', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([]));
    const strict = await serve(source);
    expect(await fetchStream(strict.client, 'FetchX509Bundles').next()).toMatchObject({
      code: status.PERMISSION_DENIED,
    });
    const open = await serve(source, { allowUnauthenticatedVerifiers: true });
    const { bundles } = await svidsOf(fetchStream(open.client, 'FetchX509Bundles'));
    expect(bundles).toEqual({ 'spiffe://a.test': Buffer.from('ca a') });
    expect(await fetchStream(open.client, 'FetchX509SVID').next()).toMatchObject({
      code: status.PERMISSION_DENIED,
    });
  });

  it('brings a new authority at once, the SVID as it was', async () => {
    const plane = livePlane();
    plane.entries.put(fakeEntry('web', { federatesWith: [TrustDomain.parse('b.test')] }));
    const foreign = new FakeSvidIssuer(plane.clock, TrustDomain.parse('b.test'), () => undefined);
    const { client } = await serve(plane.live);
    const fetching = fetchStream(client, 'FetchX509Bundles');
    expect(Object.keys((await svidsOf(fetching)).bundles ?? {})).toEqual(['spiffe://a.test']);
    plane.issuer.prepareAuthority();
    plane.trust.set(plane.issuer.bundle(), foreign.bundle());
    const { bundles } = await svidsOf(fetching);
    expect(splitDerSequence(bundles?.['spiffe://a.test'] ?? Buffer.alloc(0))).toHaveLength(2);
    expect(splitDerSequence(bundles?.['spiffe://b.test'] ?? Buffer.alloc(0))).toHaveLength(1);
    plane.trust.set(plane.issuer.bundle(), bundleOf(foreign.trustDomain, [], 9n));
    expect(Object.keys((await svidsOf(fetching)).bundles ?? {})).toEqual(['spiffe://a.test']);
  });
});

describe('bounds', () => {
  it('refuses more streams of one process than allowed, and counts them down again', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const { client } = await serve(source, { maxStreamsPerProcess: 2 });
    const first = fetchStream(client, 'FetchX509SVID');
    const second = fetchStream(client, 'FetchX509Bundles');
    await Promise.all([svidsOf(first), svidsOf(second)]);
    expect(await fetchStream(client, 'FetchX509SVID').next()).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    first.stream.cancel();
    await expect.poll(() => source.attached).toBe(1);
    await svidsOf(fetchStream(client, 'FetchX509SVID'));
  });

  it('keeps only the latest message for a client that does not read', async () => {
    const big = 'x'.repeat(256 * 1024);
    const update = (serial: number) =>
      textUpdate([
        textIdentity('/web', serial, { certificateChain: [Buffer.from(`${serial}${big}`)] }),
      ]);
    const source = new FakeWorkloadSource<PeerProcess>(update(0));
    const endpoint = await serve(source);
    const fetching = fetchStream(endpoint.client, 'FetchX509SVID');
    fetching.stream.pause();
    await expect.poll(() => source.attached).toBe(1);
    for (let serial = 1; serial <= 200; serial++) source.publish(update(serial));
    const sent = 'trustplane_workload_responses_total{method="FetchX509SVID"}';
    await expect.poll(() => endpoint.metric(sent)).toBeGreaterThan(0);
    const seen: number[] = [];
    do {
      const { svids } = await svidsOf(fetching);
      seen.push(Number.parseInt(svids?.[0]?.x509_svid.toString() ?? '', 10));
    } while (seen.at(-1) !== 200);
    expect(seen.length).toBeLessThan(10);
  });

  it('tells which callers have the own bundle', async () => {
    const held: string[] = [];
    const audience = {
      join: (name: string) => ({
        has: (bundle: Bundle) => void held.push(`${bundle.x509Authorities.length}`),
        lacks: (reason: string) => void held.push(`${name.split(' ')[0]} ${reason}`),
        leave: () => void held.push('leave'),
      }),
    };
    const big = 'x'.repeat(512 * 1024);
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const { client } = await serve(source, { audience });
    const fetching = fetchStream(client, 'FetchX509SVID');
    await svidsOf(fetching);
    await expect.poll(() => held.splice(0)).toEqual(['FetchX509SVID does not read', '1']);
    fetching.stream.pause();
    source.publish(textUpdate([textIdentity('/web')], [textBundle('a.test', ['one', big])]));
    source.publish(textUpdate([textIdentity('/web')], [textBundle('a.test', ['one', big, 'x'])]));
    expect(held.at(-1)).toBe('FetchX509SVID does not read');
    fetching.stream.resume();
    await expect.poll(() => held.at(-1)).toBe('3');
    fetching.stream.cancel();
    await expect.poll(() => held.at(-1)).toBe('leave');
  });

  it('writes nothing more for a process that has exited while its messages waited', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const attach = vi.spyOn(source, 'attach');
    const { client } = await serve(source);
    const fetching = fetchStream(client, 'FetchX509SVID');
    await svidsOf(fetching);
    const [process] = attach.mock.calls[0] ?? [];
    if (process === undefined) throw new Error('nobody attached');
    vi.spyOn(process, 'isAlive').mockReturnValue(false);
    source.publish(textUpdate([textIdentity('/web', 2)]));
    expect(await fetching.next()).toMatchObject({ code: status.UNAUTHENTICATED });
    vi.restoreAllMocks();
  });

  it('leaves nothing behind when clients go away', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const endpoint = await serve(source);
    const all = Array.from({ length: 50 }, () => fetchStream(endpoint.client, 'FetchX509SVID'));
    await Promise.all(all.map((fetching) => svidsOf(fetching)));
    const open = 'trustplane_workload_streams{method="FetchX509SVID"}';
    expect([source.attached, await endpoint.metric(open)]).toEqual([50, 50]);
    for (const { stream } of all) stream.cancel();
    await expect.poll(() => source.attached).toBe(0);
    expect(await endpoint.metric(open)).toBe(0);
  });
});
