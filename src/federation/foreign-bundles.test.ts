import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import {
  foreignBundle,
  openFederation,
  storedBundleKey,
  testCertificate,
  testTokenAuthority,
} from '../../test/fakes/open-federation.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import {
  type Bundle,
  type ErrorCode,
  emptyBundle,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { createMemoryStore } from '../store/index.ts';
import type { ForeignBundles } from './foreign-bundles.ts';
import { createTrustMapSource } from './trust-map.ts';

const b = TrustDomain.parse('b.test');
const code = (is: ErrorCode) => expect.objectContaining({ code: is });
const all = { pageSize: 0, pageToken: '' };
const numbered = (sequenceNumber: bigint, ...indexes: number[]): Bundle =>
  foreignBundle('b.test', indexes, { sequenceNumber });

describe('foreign bundles', () => {
  it('are kept whole, apart from each other, and found again (BUNDLE-8)', async () => {
    const { bundles, store, clock } = await openFederation();
    const whole = foreignBundle('b.test', [0, 1], {
      jwtAuthorities: [testTokenAuthority('j', { expiresAt: 5_000, tainted: true })],
      witAuthorities: [testTokenAuthority('w')],
      sequenceNumber: 2n ** 70n + 1n,
      refreshHintSeconds: 60,
    });
    await bundles.create(whole);
    await bundles.create(foreignBundle('..', [2]));
    const again = (await openFederation({ store, clock })).bundles;
    expect(again.get(b)).toEqual(whole);
    expect([...again.current().keys()]).toEqual(['..', 'b.test']);
    expect(again.list(all).items.map(({ trustDomain }) => trustDomain.name)).toEqual([
      '..',
      'b.test',
    ]);
  });

  it('of the own trust domain are refused whatever is done (BUNDLE-8, FED-9)', async () => {
    const { bundles } = await openFederation();
    const own = foreignBundle('a.test');
    const refused = code('ERR_FEDERATION_TRUST_DOMAIN');
    await expect(bundles.create(own)).rejects.toEqual(refused);
    await expect(bundles.set(own)).rejects.toEqual(refused);
    await expect(bundles.update(own.trustDomain, {})).rejects.toEqual(refused);
    await expect(bundles.delete(own.trustDomain)).rejects.toEqual(refused);
  });

  it('are created once', async () => {
    const { bundles } = await openFederation();
    await bundles.create(foreignBundle('b.test', [0]));
    await expect(bundles.create(foreignBundle('b.test', [1]))).rejects.toEqual(
      code('ERR_BUNDLE_EXISTS'),
    );
    expect(bundles.get(b)).toEqual(foreignBundle('b.test', [0]));
  });

  it('are in the trust map before a change resolves, and out of it at once (FED-19)', async () => {
    const { bundles } = await openFederation();
    const own = { current: () => emptyBundle(TrustDomain.parse('a.test')), watch: () => () => {} };
    const trust = createTrustMapSource({ ownBundle: own, foreignBundles: bundles });
    const seen: (readonly string[])[] = [];
    trust.watch((map) => seen.push([...map.federated.keys()]));
    const before = trust.current();
    await bundles.set(foreignBundle('b.test'));
    expect([...trust.current().federated.keys()]).toEqual(['b.test']);
    await bundles.delete(b);
    expect(trust.current().federated.size).toBe(0);
    expect(before.federated.size).toBe(0);
    expect(seen).toEqual([['b.test'], []]);
  });

  it('keep their place in memory while another changes', async () => {
    const { bundles } = await openFederation();
    await bundles.set(foreignBundle('b.test', [0]));
    const first = bundles.get(b);
    await bundles.set(foreignBundle('c.test', [1]));
    await bundles.set(foreignBundle('b.test', [0]));
    expect(bundles.get(b)).toBe(first);
  });

  it('hold each authority once', async () => {
    const { bundles } = await openFederation();
    await bundles.set(foreignBundle('b.test', [0, 1, 0]));
    expect(bundles.get(b)?.x509Authorities).toHaveLength(2);
  });

  it('stay as they are when the store takes nothing', async () => {
    const ground = await openFederation();
    await ground.bundles.set(foreignBundle('b.test', [0]));
    const full = overBucket(ground.bucket, {
      put: () => Promise.reject(new TrustplaneError('ERR_STORE_FULL', 'no room')),
    });
    const { bundles } = await openFederation({ ...ground, bucket: full });
    await expect(bundles.set(foreignBundle('b.test', [1]))).rejects.toEqual(code('ERR_STORE_FULL'));
    expect(bundles.get(b)).toEqual(foreignBundle('b.test', [0]));
  });

  it('are deleted once', async () => {
    const { bundles } = await openFederation();
    await expect(bundles.delete(b)).rejects.toEqual(code('ERR_BUNDLE_NOT_FOUND'));
    await expect(bundles.update(b, {})).rejects.toEqual(code('ERR_BUNDLE_NOT_FOUND'));
  });
});

describe('the sequence number', () => {
  it('never falls (FED-7)', async () => {
    const { bundles } = await openFederation();
    await bundles.set(numbered(7n, 0));
    await expect(bundles.set(numbered(6n, 1))).rejects.toEqual(code('ERR_BUNDLE_SEQUENCE'));
    expect(bundles.get(b)).toEqual(numbered(7n, 0));
  });

  it('rises by at most 2^32', async () => {
    const { bundles } = await openFederation();
    await bundles.set(numbered(7n, 0));
    const leap = 7n + 2n ** 32n;
    await expect(bundles.set(numbered(leap + 1n, 1))).rejects.toEqual(code('ERR_BUNDLE_SEQUENCE'));
    await bundles.set(numbered(leap, 1));
    expect(bundles.get(b)?.sequenceNumber).toBe(leap);
  });

  it('stays with the same keys only; taint and the refresh hint may change under it', async () => {
    const { bundles } = await openFederation();
    await bundles.set(numbered(7n, 0));
    await expect(bundles.set(numbered(7n, 1))).rejects.toEqual(code('ERR_BUNDLE_SEQUENCE'));
    const tainted = [{ certificate: testCertificate(0), tainted: true }];
    await bundles.set({ ...numbered(7n), x509Authorities: tainted, refreshHintSeconds: 9 });
    expect(bundles.get(b)).toMatchObject({ refreshHintSeconds: 9, x509Authorities: tainted });
  });

  it('may be missing: the newest then wins, and the next still may not fall (FED-7, FED-8)', async () => {
    const { bundles } = await openFederation();
    await bundles.set(numbered(7n, 0));
    await bundles.set(foreignBundle('b.test', [1]));
    expect(bundles.get(b)).toEqual(foreignBundle('b.test', [1]));
    await expect(bundles.set(numbered(6n, 2))).rejects.toEqual(code('ERR_BUNDLE_SEQUENCE'));
    await bundles.set(numbered(7n, 2));
    expect(bundles.get(b)).toEqual(numbered(7n, 2));
  });

  it('goes back when it is reset', async () => {
    const { bundles } = await openFederation();
    await bundles.set(numbered(2n ** 64n, 0));
    await bundles.set(numbered(3n, 1), true);
    await bundles.set(numbered(4n, 2));
    expect(bundles.get(b)).toEqual(numbered(4n, 2));
  });

  it('is not kept by an edit of the keys, nor lost by one that changes nothing', async () => {
    const { bundles } = await openFederation();
    await bundles.set(numbered(7n, 0));
    await bundles.update(b, { x509Authorities: numbered(7n, 0).x509Authorities });
    expect(bundles.get(b)?.sequenceNumber).toBe(7n);
    await bundles.update(b, { x509Authorities: numbered(7n, 1).x509Authorities });
    expect(bundles.get(b)).toEqual(foreignBundle('b.test', [1]));
    await bundles.update(b, { sequenceNumber: 8n });
    expect(bundles.get(b)).toEqual(numbered(8n, 1));
  });
});

describe('what is refused', () => {
  const leaf = Buffer.from('3003020101', 'hex');
  it.each<[string, ErrorCode, Partial<Bundle>]>([
    [
      'a certificate that is none',
      'ERR_BUNDLE',
      { x509Authorities: [{ certificate: leaf, tainted: false }] },
    ],
    ['a token key without ID', 'ERR_BUNDLE', { jwtAuthorities: [testTokenAuthority('')] }],
    [
      'one key ID twice',
      'ERR_BUNDLE',
      { jwtAuthorities: [testTokenAuthority('k')], witAuthorities: [testTokenAuthority('k')] },
    ],
    [
      'a public key that is none',
      'ERR_BUNDLE',
      { jwtAuthorities: [testTokenAuthority('k', { publicKey: leaf })] },
    ],
    [
      'an expiry that is none',
      'ERR_BUNDLE',
      { jwtAuthorities: [testTokenAuthority('k', { expiresAt: -1 })] },
    ],
    ['a number below 0', 'ERR_BUNDLE', { sequenceNumber: -1n }],
    ['a hint below 0', 'ERR_BUNDLE', { refreshHintSeconds: -1 }],
    [
      'more than 1000 keys',
      'ERR_BUNDLE',
      { jwtAuthorities: Array.from({ length: 1001 }, (_, i) => testTokenAuthority(`k${i}`)) },
    ],
    [
      'more bytes than a record has',
      'ERR_FEDERATION_TOO_LARGE',
      {
        jwtAuthorities: Array.from({ length: 900 }, (_, i) =>
          testTokenAuthority(`${i}`.padEnd(1000, 'x')),
        ),
      },
    ],
  ])('%s', async (_, refusal, more) => {
    const { bundles } = await openFederation();
    await expect(bundles.set(foreignBundle('b.test', [0], more))).rejects.toEqual(code(refusal));
    expect(bundles.get(b)).toBeUndefined();
  });
});

describe('a stored bundle that cannot be read', () => {
  const key = storedBundleKey('b.test');

  it.each([
    ['no JSON', '}{'],
    ['a later version', '{"v":2}'],
    ['another trust domain (BUNDLE-8)', undefined],
  ])('%s: is left out at start, the others are served, and it can be deleted', async (_, text) => {
    const ground = await openFederation();
    await ground.bundles.set(foreignBundle('c.test', [1]));
    const other = await ground.bucket.get(storedBundleKey('c.test'));
    await ground.bucket.put(
      key,
      text === undefined ? (other?.value ?? leafless) : Buffer.from(text),
    );
    const { bundles } = await openFederation(ground);
    expect([...bundles.current().keys()]).toEqual(['c.test']);
    await expect(bundles.set(foreignBundle('b.test'))).rejects.toEqual(
      code('ERR_FEDERATION_RECORD'),
    );
    await bundles.delete(b);
    await bundles.create(foreignBundle('b.test'));
    expect([...bundles.current().keys()]).toEqual(['b.test', 'c.test']);
  });

  it('is one of the own trust domain too (FED-9)', async () => {
    const ground = await openFederation();
    await ground.bundles.set(foreignBundle('b.test'));
    const stored = Buffer.from((await ground.bucket.get(key))?.value ?? []).toString();
    const forged = Buffer.from(stored.replace('b.test', 'a.test'));
    await ground.bucket.put(storedBundleKey('a.test'), forged);
    await settle();
    for (const { bundles } of [ground, await openFederation(ground)])
      expect([...bundles.current().keys()]).toEqual(['b.test']);
  });

  it('is of no effect while the last good one is known', async () => {
    const { bundles, bucket } = await openFederation();
    await bundles.set(foreignBundle('b.test', [0]));
    await bucket.put(key, Buffer.from('damaged'));
    await settle();
    expect(bundles.get(b)).toEqual(foreignBundle('b.test', [0]));
    await bucket.delete(key);
    await settle();
    expect(bundles.get(b)).toBeUndefined();
  });

  const leafless = new Uint8Array();
});

describe('several servers on one store', () => {
  it('see what the others write, also across a break of the feed', async () => {
    const clock = new FakeClock();
    const store = createMemoryStore({ clock });
    const bucket = store.bucket('federation');
    let feeds = 0;
    const broken = overBucket(bucket, {
      watch(prefix, from, signal) {
        if (++feeds > 6) return bucket.watch(prefix, from, signal);
        throw new Error('gone');
      },
    });
    const { bundles: reader } = await openFederation({ clock, store, bucket: broken });
    const { bundles: writer } = await openFederation({ clock, store });
    await writer.set(foreignBundle('b.test', [0]));
    await writer.set(foreignBundle('c.test', [1]));
    await writer.delete(b);
    await clock.advanceAsync(60_000);
    expect([...reader.current().keys()]).toEqual(['c.test']);
  });

  it('do as one plain map does, whatever order they write in', async () => {
    const names = ['b.test', 'c.test', '_', '..'];
    const act = fc.record({
      server: fc.nat({ max: 1 }),
      type: fc.constantFrom('create', 'set', 'set', 'reset', 'update', 'delete'),
      name: fc.constantFrom(...names),
      index: fc.nat({ max: 5 }),
      sequence: fc.option(fc.bigInt({ min: 0n, max: 6n }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 30 }), async (acts) => {
        const ground = await openFederation();
        const servers = [ground.bundles, (await openFederation(ground)).bundles];
        const model = new Map<string, { bundle: Bundle; floor: bigint | undefined }>();
        for (const { server, type, name, index, sequence } of acts) {
          const bundle = foreignBundle(name, [index], { sequenceNumber: sequence });
          const done = await perform(servers[server], type, bundle);
          expect([type, name, done]).toEqual([type, name, foretell(model, type, bundle)]);
        }
        await settle();
        const expected = new Map<string, Bundle>();
        for (const [name, { bundle }] of model) expected.set(name, bundle);
        for (const server of servers) expect(new Map(server.current())).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('lose no write that was acknowledged when both write at once', async () => {
    const ground = await openFederation();
    const servers = [ground.bundles, (await openFederation(ground)).bundles];
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        perform(servers[i % 2], 'set', numbered(BigInt(i + 1), i % 6)),
      ),
    );
    const done = outcomes.flatMap((outcome, i) => (outcome === 'done' ? [i + 1] : []));
    await settle();
    for (const server of servers) {
      expect(server.get(b)?.sequenceNumber).toBe(BigInt(Math.max(...done)));
    }
    expect(done).toContain(12);
  });
});

async function perform(
  server: ForeignBundles | undefined,
  type: string,
  bundle: Bundle,
): Promise<string> {
  try {
    if (type === 'create') await server?.create(bundle);
    if (type === 'set') await server?.set(bundle);
    if (type === 'reset') await server?.set(bundle, true);
    if (type === 'update') {
      await server?.update(bundle.trustDomain, { x509Authorities: bundle.x509Authorities });
    }
    if (type === 'delete') await server?.delete(bundle.trustDomain);
    return 'done';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

/** What a plain map with the rules for sequence numbers says of the same. */
function foretell(
  model: Map<string, { bundle: Bundle; floor: bigint | undefined }>,
  type: string,
  bundle: Bundle,
): string {
  const { name } = bundle.trustDomain;
  const before = model.get(name);
  const sequence = bundle.sequenceNumber;
  const keyOf = ({ x509Authorities: [first] }: Bundle): string =>
    Buffer.from(first?.certificate ?? []).toString('hex');
  if (type === 'create' && before !== undefined) return 'ERR_BUNDLE_EXISTS';
  if ((type === 'update' || type === 'delete') && before === undefined)
    return 'ERR_BUNDLE_NOT_FOUND';
  if (type === 'delete') {
    model.delete(name);
    return 'done';
  }
  if (before === undefined || type === 'reset') {
    model.set(name, { bundle, floor: sequence });
    return 'done';
  }
  const sameKeys = keyOf(before.bundle) === keyOf(bundle);
  if (type === 'update') {
    if (!sameKeys) model.set(name, { ...before, bundle: { ...bundle, sequenceNumber: undefined } });
    return 'done';
  }
  if (sequence === undefined) {
    model.set(name, { ...before, bundle });
    return 'done';
  }
  if (sequence < (before.floor ?? 0n)) return 'ERR_BUNDLE_SEQUENCE';
  if (sequence === before.bundle.sequenceNumber && !sameKeys) return 'ERR_BUNDLE_SEQUENCE';
  model.set(name, { bundle, floor: sequence });
  return 'done';
}
