import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import { createThrowawayCa } from '../ca/index.ts';
import { silentLog } from '../ops/index.ts';
import {
  type Bundle,
  generateP256KeyPair,
  parseCertificate,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Bucket, createMemoryStore, storeLimits } from '../store/index.ts';
import { type OwnBundle, type OwnBundleOptions, openOwnBundle } from './own-bundle.ts';
import { createTrustMapSource } from './trust-map.ts';

const trustDomain = TrustDomain.parse('a.test');
const [one, two, three] = [newCertificate(), newCertificate(), newCertificate()] as const;
const jwtKey = newJwtKey('jwt-1');
const opened: OwnBundle[] = [];
afterEach(async () => {
  for (const bundle of opened.splice(0)) await bundle.close();
});

function newCertificate(): Uint8Array {
  return createThrowawayCa(Date.now(), randomBytes);
}

function newJwtKey(keyId: string) {
  const { publicKey } = generateP256KeyPair();
  return { keyId, publicKey, expiresAt: Date.parse('2027-01-01') };
}

function createGround() {
  const clock = new FakeClock();
  return { clock, bucket: createMemoryStore({ clock }).bucket('authorities') };
}

async function open(
  ground: { clock: FakeClock; bucket: Bucket },
  options: Partial<OwnBundleOptions> = {},
): Promise<OwnBundle> {
  const bundle = await openOwnBundle({ ...ground, trustDomain, log: silentLog, ...options });
  opened.push(bundle);
  return bundle;
}

const certificates = (bundle: Bundle): readonly Uint8Array[] =>
  bundle.x509Authorities.map(({ certificate }) => certificate);

describe('own bundle', () => {
  it('is empty and without a number before the first authority', async () => {
    const bundle = (await open(createGround())).current();
    expect(bundle).toMatchObject({ trustDomain, x509Authorities: [], sequenceNumber: undefined });
  });

  it('raises the sequence by one with each change of content and never otherwise (BUNDLE-4)', async () => {
    const own = await open(createGround());
    const publisher = own.publisherFor('s1');
    const sequences: (bigint | undefined)[] = [];
    for (const change of [
      () => publisher.publish(one),
      () => publisher.publish(one),
      () => publisher.publish(two),
      () => publisher.withdraw(three),
      () => publisher.withdraw(one),
      () => publisher.withdraw(one),
      () => publisher.publish(one),
    ]) {
      await change();
      sequences.push(own.current().sequenceNumber);
    }
    expect(sequences).toEqual([1n, 1n, 2n, 2n, 3n, 3n, 4n]);
    expect(certificates(own.current())).toEqual([two, one]);
  });

  it('holds a sequence beyond 2^53 (BUNDLE-4)', async () => {
    const ground = createGround();
    await (await open(ground)).publisherFor('s1').publish(one);
    const record = await ground.bucket.get('bundle');
    const text = Buffer.from(record?.value ?? new Uint8Array()).toString();
    const large = text.replace('"sequence":"1"', '"sequence":"9007199254740993"');
    await ground.bucket.put('bundle', Buffer.from(large));
    const own = await open(ground);
    await own.publisherFor('s1').publish(two);
    expect(own.current().sequenceNumber).toBe(9007199254740994n);
  });

  it('has a refresh hint of 300 s by default, and a change of it is a change of content (BUNDLE-5)', async () => {
    const ground = createGround();
    const first = await open(ground);
    await first.publisherFor('s1').publish(one);
    expect(first.current().refreshHintSeconds).toBe(300);
    const second = await open(ground, { refreshHintSeconds: 60 });
    expect(second.current()).toMatchObject({ refreshHintSeconds: 60, sequenceNumber: 2n });
    expect((await open(ground, { refreshHintSeconds: 60 })).current().sequenceNumber).toBe(2n);
  });

  it('is shared by servers that write at the same time', async () => {
    const ground = createGround();
    const servers = await Promise.all(['s1', 's2', 's3'].map(() => open(ground)));
    const added = Array.from({ length: 9 }, newCertificate);
    await Promise.all(
      servers.flatMap((server, index) =>
        added
          .filter((_, at) => at % servers.length === index)
          .map((certificate) => server.publisherFor(`s${index}`).publish(certificate)),
      ),
    );
    await settle();
    for (const server of servers) {
      expect(new Set(certificates(server.current()))).toEqual(new Set(added));
      expect(server.current().sequenceNumber).toBe(9n);
    }
  });

  it('shows a publication in the trust map, to readers and watchers, before it resolves', async () => {
    const own = await open(createGround());
    const trustMap = createTrustMapSource({ ownBundle: own });
    const seen: number[] = [];
    const stop = trustMap.watch((map) => seen.push(map.own.x509Authorities.length));
    await own.publisherFor('s1').publish(one);
    expect(certificates(trustMap.current().own)).toEqual([one]);
    expect(seen).toEqual([1]);
    stop();
    await own.publisherFor('s1').publish(two);
    await settle();
    expect(seen).toEqual([1]);
  });

  it('makes a new immutable map with each change and keeps bundles of others apart (BUNDLE-8)', async () => {
    const own = await open(createGround());
    const trustMap = createTrustMapSource({ ownBundle: own });
    const before = trustMap.current();
    await own.publisherFor('s1').publish(one);
    expect(before.own.x509Authorities).toEqual([]);
    expect(trustMap.current()).not.toBe(before);
    expect(trustMap.current().own.trustDomain).toBe(trustDomain);
    expect(trustMap.current().federated.size).toBe(0);
  });

  it('follows what other servers write', async () => {
    const ground = createGround();
    const [writer, reader] = [await open(ground), await open(ground)];
    await writer.publisherFor('s1').publish(one);
    await settle();
    expect(certificates(reader.current())).toEqual([one]);
    expect(reader.publisherFor('s2').find(one)).toBeDefined();
  });

  it.each(['ERR_STORE_COMPACTED', 'ERR_STORE_UNAVAILABLE'] as const)(
    'reads again when its feed ends with %s',
    async (code) => {
      const ground = createGround();
      const { bucket } = ground;
      let feeds = 0;
      const broken = overBucket(bucket, {
        watch(prefix, from, signal) {
          if (++feeds > 3) return bucket.watch(prefix, from, signal);
          throw new TrustplaneError(code, 'gone');
        },
      });
      const reader = await open({ ...ground, bucket: broken });
      const writer = await open(ground);
      await bucket.put('other', Uint8Array.of(1));
      await bucket.delete('other');
      ground.clock.jump(ground.clock.now() + 2 * storeLimits.deleteMarkerMs);
      await writer.publisherFor('s1').publish(one);
      await ground.clock.advanceAsync(20_000);
      expect(certificates(reader.current())).toEqual([one]);
      await writer.publisherFor('s1').publish(two);
      await settle();
      expect(certificates(reader.current())).toEqual([one, two]);
    },
  );

  it.each([
    ['no JSON', '}{'],
    [
      'a later version',
      '{"v":3,"trustDomain":"a.test","sequence":"1","refreshHintSeconds":300,"x509Authorities":[]}',
    ],
    [
      'another trust domain (BUNDLE-8)',
      '{"v":1,"trustDomain":"b.test","sequence":"1","refreshHintSeconds":300,"x509Authorities":[]}',
    ],
    [
      'sequence zero',
      '{"v":1,"trustDomain":"a.test","sequence":"0","refreshHintSeconds":300,"x509Authorities":[]}',
    ],
    [
      'a certificate that is none',
      '{"v":1,"trustDomain":"a.test","sequence":"1","refreshHintSeconds":300,"x509Authorities":[{"certificate":"AAAA","tainted":false,"publishedBy":"s1"}]}',
    ],
  ])('refuses to open a record with %s, and leaves it', async (_, text) => {
    const ground = createGround();
    await ground.bucket.put('bundle', Buffer.from(text));
    await expect(open(ground)).rejects.toMatchObject({ code: 'ERR_OWN_BUNDLE' });
    expect(Buffer.from((await ground.bucket.get('bundle'))?.value ?? []).toString()).toBe(text);
  });

  it('keeps the last good bundle when the record is damaged or deleted under it', async () => {
    const ground = createGround();
    const own = await open(ground);
    await own.publisherFor('s1').publish(one);
    await ground.bucket.put('bundle', Buffer.from('damaged'));
    await settle();
    expect(certificates(own.current())).toEqual([one]);
    await expect(own.publisherFor('s1').publish(two)).rejects.toMatchObject({
      code: 'ERR_OWN_BUNDLE',
    });
    await ground.bucket.delete('bundle');
    await settle();
    expect(certificates(own.current())).toEqual([one]);
  });

  it('says since when an authority stands in it, and whether it is tainted', async () => {
    const ground = createGround();
    const publisher = (await open(ground)).publisherFor('s1');
    const publishedAt = ground.clock.now();
    await publisher.publish(one);
    ground.clock.advance(60_000);
    await publisher.publish(one);
    await publisher.publishJwt(jwtKey);
    expect(publisher.find(one)).toEqual({ publishedAt, isTainted: false });
    expect(publisher.find(two)).toBeUndefined();
    expect(publisher.findJwt('jwt-1')).toEqual({
      publishedAt: publishedAt + 60_000,
      isTainted: false,
    });
    expect(publisher.findJwt('jwt-2')).toBeUndefined();
    const again = (await open(ground)).publisherFor('s2');
    expect(again.find(one)).toEqual({ publishedAt, isTainted: false });
  });

  it('taints one authority, once, and the next server reads it so', async () => {
    const ground = createGround();
    const own = await open(ground);
    const publisher = own.publisherFor('s1');
    await publisher.publish(one);
    await publisher.publish(two);
    await publisher.publishJwt(jwtKey);
    for (const change of [
      () => publisher.taint(one),
      () => publisher.taint(one),
      () => publisher.taint(three),
      () => publisher.taintJwt('jwt-1'),
      () => publisher.taintJwt('jwt-1'),
      () => publisher.taintJwt('other'),
    ]) {
      await change();
    }
    expect(own.current()).toMatchObject({
      sequenceNumber: 5n,
      x509Authorities: [{ tainted: true }, { tainted: false }],
      jwtAuthorities: [{ tainted: true }],
    });
    expect((await open(ground)).current()).toEqual(own.current());
    expect(publisher.find(one)?.isTainted).toBe(true);
  });

  it('does not cleanse what is published again after it was tainted', async () => {
    const publisher = (await open(createGround())).publisherFor('s1');
    await publisher.publish(one);
    await publisher.taint(one);
    await publisher.publish(one);
    await publisher.publishJwt(jwtKey);
    await publisher.taintJwt('jwt-1');
    await publisher.publishJwt(jwtKey);
    expect(publisher.find(one)?.isTainted).toBe(true);
    expect(publisher.findJwt('jwt-1')?.isTainted).toBe(true);
  });

  it('holds JWT authorities beside the X.509 ones and takes them out again', async () => {
    const own = await open(createGround());
    const publisher = own.publisherFor('s1');
    await publisher.publish(one);
    await publisher.publishJwt(jwtKey);
    await publisher.publishJwt({ ...newJwtKey('jwt-2'), expiresAt: undefined });
    expect(own.current().jwtAuthorities).toEqual([
      { ...jwtKey, tainted: false },
      expect.objectContaining({ keyId: 'jwt-2', expiresAt: undefined, tainted: false }),
    ]);
    await publisher.withdrawJwt('jwt-1');
    await publisher.withdrawJwt('jwt-1');
    expect(own.current().jwtAuthorities.map(({ keyId }) => keyId)).toEqual(['jwt-2']);
    expect(own.current()).toMatchObject({ sequenceNumber: 4n, x509Authorities: [{}] });
  });

  it('refuses another JWT key under an ID that is taken, and what is no key (WIT-18)', async () => {
    const own = await open(createGround());
    const publisher = own.publisherFor('s1');
    await publisher.publishJwt(jwtKey);
    await expect(publisher.publishJwt(newJwtKey('jwt-1'))).rejects.toMatchObject({
      code: 'ERR_KEY_EXISTS',
    });
    await expect(
      publisher.publishJwt({ ...jwtKey, publicKey: Uint8Array.of(1) }),
    ).rejects.toMatchObject({ code: 'ERR_DER' });
    expect(own.current().jwtAuthorities).toEqual([{ ...jwtKey, tainted: false }]);
  });

  it('reads a record of the first version, and writes the present one with the next change', async () => {
    const ground = createGround();
    const certificate = Buffer.from(one).toString('base64');
    const { notBefore } = parseCertificate(one);
    const text = `{"v":1,"trustDomain":"a.test","sequence":"7","refreshHintSeconds":300,"x509Authorities":[{"certificate":"${certificate}","tainted":false,"publishedBy":"s1"}]}`;
    const revision = await ground.bucket.put('bundle', Buffer.from(text));
    const own = await open(ground);
    expect(own.current()).toMatchObject({ sequenceNumber: 7n, jwtAuthorities: [] });
    expect(certificates(own.current())).toEqual([one]);
    expect(own.publisherFor('s1').find(one)).toEqual({ publishedAt: notBefore, isTainted: false });
    expect((await ground.bucket.get('bundle'))?.revision).toBe(revision);
    await own.publisherFor('s1').publishJwt(jwtKey);
    expect(own.current()).toMatchObject({ sequenceNumber: 8n, jwtAuthorities: [{}] });
    const written = Buffer.from((await ground.bucket.get('bundle'))?.value ?? []).toString();
    expect(JSON.parse(written)).toMatchObject({ v: 3, x509Authorities: [{ publishedBy: 's1' }] });
    expect((await open(ground)).current()).toEqual(own.current());
  });

  it('takes a thousand keys and no more', async () => {
    const ground = createGround();
    const own = await open(ground);
    const publisher = own.publisherFor('s1');
    await publisher.publish(one);
    const { publicKey } = newJwtKey('any');
    const text = Buffer.from((await ground.bucket.get('bundle'))?.value ?? []).toString();
    const document = JSON.parse(text);
    const key = { publicKey: Buffer.from(publicKey).toString('base64'), tainted: false };
    const added = { publishedAt: 1, publishedBy: 's1' };
    const jwtAuthorities = Array.from({ length: 999 }, (_, i) => ({
      keyId: `k${i}`,
      ...key,
      ...added,
    }));
    const full = JSON.stringify({ ...document, sequence: '2', jwtAuthorities });
    await ground.bucket.put('bundle', Buffer.from(full));
    for (const publish of [() => publisher.publish(two), () => publisher.publishJwt(jwtKey)]) {
      await expect(publish()).rejects.toMatchObject({ code: 'ERR_OWN_BUNDLE_LIMIT' });
    }
    await publisher.withdrawJwt('k7');
    await publisher.publish(two);
    expect(own.current().jwtAuthorities).toHaveLength(998);
  });

  it('loses what one server published and what has ended', async () => {
    const own = await open(createGround());
    const [publisher, other] = [own.publisherFor('s1'), own.publisherFor('s2')];
    await publisher.publish(one);
    await other.publish(two);
    for (const [keyId, expiresAt] of [
      ['early', 1_000],
      ['late', 3_000],
      ['never', undefined],
    ] as const)
      await publisher.publishJwt({ keyId, publicKey: generateP256KeyPair().publicKey, expiresAt });
    const before = own.current().sequenceNumber ?? 0n;
    await publisher.withdrawExpired(500);
    expect(own.current().sequenceNumber).toBe(before);
    await publisher.withdrawExpired(2_000);
    expect(own.current().jwtAuthorities.map(({ keyId }) => keyId)).toEqual(['late', 'never']);
    expect(certificates(own.current())).toEqual([one, two]);
    await publisher.withdrawExpired(Date.parse('9999-01-01T00:00:00Z'));
    expect(own.current().jwtAuthorities.map(({ keyId }) => keyId)).toEqual(['never']);
    expect(certificates(own.current())).toEqual([two]);
  });

  it('refuses to publish what is no certificate', async () => {
    const own = await open(createGround());
    await expect(own.publisherFor('s1').publish(Uint8Array.of(1))).rejects.toMatchObject({
      code: 'ERR_CERTIFICATE',
    });
  });

  it('leaves no timer and no feed behind', async () => {
    const ground = createGround();
    const own = await open(ground);
    await own.close();
    expect(ground.clock.timers).toBe(0);
    await ground.bucket.put('bundle', Buffer.from('x'));
    await settle();
    expect(own.current().x509Authorities).toEqual([]);
  });
});
