import { createPublicKey, randomBytes } from 'node:crypto';
import { jwtVerify } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { createCaGround, testTrustDomain, testWorkloadId } from '../../test/fakes/ca-world.ts';
import { settle } from '../../test/fakes/fake-clock.ts';
import { type OwnBundle, openOwnBundle } from '../federation/index.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { parseJwtSvid, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import { createJwtCa, type JwtCa, type JwtCaOptions } from './jwt-ca.ts';
import { createMemoryKeyManager } from './memory-key-manager.ts';
import { createX509Ca } from './x509-ca.ts';

const opened: (JwtCa | OwnBundle)[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

const HOUR_MS = 3_600_000;
const withCode = (code: string) => expect.objectContaining({ code });
const request = { spiffeId: testWorkloadId, audience: ['api.test'], ttlSeconds: 0 };

async function start(ground = createCaGround(), options: Partial<JwtCaOptions> = {}) {
  const { bucket, clock } = ground;
  const ownBundle = await openOwnBundle({
    bucket,
    trustDomain: testTrustDomain,
    clock,
    log: silentLog,
  });
  opened.push(ownBundle);
  const common = {
    ...ground,
    trustDomain: testTrustDomain,
    serverId: 's1',
    ownBundle: ownBundle.publisherFor('s1'),
    random: randomBytes,
    log: silentLog,
    metrics: createMetrics(),
  };
  const ca = await createJwtCa({ ...common, ...options });
  opened.push(ca);
  return { ...common, bundle: ownBundle, ca };
}

describe('JWT-SVID', () => {
  it('says who, for whom and until when (JWT-6)', async () => {
    const { ca, clock } = await start();
    const audience = ['api.test', 'db.test', 'api.test'];
    const issued = await ca.issueJwtSvid({ ...request, audience });
    const svid = parseJwtSvid(issued.token);
    expect(svid).toMatchObject({
      audience: ['api.test', 'db.test'],
      issuedAt: clock.now(),
      expiresAt: clock.now() + 300_000,
    });
    expect(svid.spiffeId.toString()).toBe(testWorkloadId.toString());
    expect([...svid.claims.keys()].sort()).toEqual(['aud', 'exp', 'iat', 'sub']);
    expect(issued).toMatchObject({ issuedAt: svid.issuedAt, expiresAt: svid.expiresAt });
  });

  it('has an ID of its own and an issuer where they are asked for', async () => {
    const issuer = 'https://oidc.a.test';
    const { ca } = await start(undefined, { issuer });
    const tokens = await Promise.all(
      [1, 2].map(() => ca.issueJwtSvid({ ...request, includeJti: true })),
    );
    const [one, two] = tokens.map(({ token }) => parseJwtSvid(token).claims);
    expect(one?.get('iss')).toBe(issuer);
    expect(one?.get('jti')).toMatch(/^[0-9a-f]{32}$/u);
    expect(one?.get('jti')).not.toBe(two?.get('jti'));
  });

  it.each([
    ['ec-p256', 'ES256'],
    ['ec-p384', 'ES384'],
    ['rsa-2048', 'RS256'],
  ] as const)(
    'is signed with a key of type %s as %s, which jose verifies',
    async (keyType, alg) => {
      const { ca, bundle, clock } = await start(undefined, { keyType });
      const { token } = await ca.issueJwtSvid(request);
      const [authority] = bundle.current().jwtAuthorities;
      const key = createPublicKey({
        key: Buffer.from(authority?.publicKey ?? []),
        format: 'der',
        type: 'spki',
      });
      const currentDate = new Date(clock.now());
      const { protectedHeader } = await jwtVerify(token, key, {
        currentDate,
        audience: 'api.test',
      });
      expect(protectedHeader).toEqual({ alg, kid: authority?.keyId, typ: 'JWT' });
    },
  );

  it('ends no later than its authority, nor than the limit (JWT-15)', async () => {
    const { ca, clock } = await start();
    const [authority] = ca.status().authorities;
    const long = await ca.issueJwtSvid({ ...request, ttlSeconds: 30 * 86_400 });
    expect(long.expiresAt).toBe(authority?.notAfter);
    const notAfterLimit = clock.now() + 90_500;
    const short = await ca.issueJwtSvid({ ...request, notAfterLimit });
    expect(short.expiresAt).toBe(clock.now() + 90_000);
    await expect(ca.issueJwtSvid({ ...request, notAfterLimit: clock.now() })).rejects.toEqual(
      withCode('ERR_CA_TTL'),
    );
  });

  it('of the last minute of an authority that has no successor ends with it', async () => {
    const { ca, clock, bundle } = await start();
    clock.jump(clock.now() + 24 * HOUR_MS - 60_000);
    const issued = await ca.issueJwtSvid(request);
    expect(issued.expiresAt).toBe(clock.now() + 60_000);
    expect(bundle.current().jwtAuthorities[0]?.expiresAt).toBe(issued.expiresAt);
  });

  it.each([
    ['no audience', { audience: [] }, 'ERR_JWT_AUDIENCE_LIST'],
    ['an empty audience', { audience: [''] }, 'ERR_JWT_AUDIENCE_LIST'],
    ['a negative life', { ttlSeconds: -1 }, 'ERR_CA_TTL'],
    ['half a second', { ttlSeconds: 0.5 }, 'ERR_CA_TTL'],
    ['another trust domain', { spiffeId: SpiffeId.parse('spiffe://b.test/x') }, 'ERR_CA_SPIFFE_ID'],
    ['the trust domain', { spiffeId: SpiffeId.parse('spiffe://a.test') }, 'ERR_CA_SPIFFE_ID'],
  ])('is refused for %s', async (_, difference, code) => {
    const { ca } = await start();
    await expect(ca.issueJwtSvid({ ...request, ...difference })).rejects.toEqual(withCode(code));
  });
});

describe('JWT authorities', () => {
  it('stand in the bundle with their expiry before they sign (JWT-11, JWT-15, FED-5)', async () => {
    const { ca, bundle, clock } = await start();
    const [authority] = ca.status().authorities;
    expect(bundle.current().jwtAuthorities).toEqual([
      {
        keyId: authority?.authorityId,
        publicKey: expect.any(Uint8Array),
        expiresAt: clock.now() + 24 * HOUR_MS,
        tainted: false,
      },
    ]);
  });

  it('rotate by half of the life and the life of the JWKS, and go when they have expired', async () => {
    const { ca, clock, bundle, keyManager } = await start();
    const events: string[] = [];
    ca.onRotation(({ type }) => events.push(type));
    await clock.advanceAsync(12 * HOUR_MS);
    expect(events).toEqual(['prepare', 'publish']);
    const before = parseJwtSvid((await ca.issueJwtSvid(request)).token).keyId;
    await clock.advanceAsync(600_000);
    expect(events.slice(2)).toEqual(['activate']);
    expect(parseJwtSvid((await ca.issueJwtSvid(request)).token).keyId).not.toBe(before);
    await clock.advanceAsync(12 * HOUR_MS);
    expect(events.slice(3)).toEqual(['prepare', 'publish', 'prune', 'activate']);
    expect(bundle.current().jwtAuthorities.map(({ keyId }) => keyId)).not.toContain(before);
    expect(await keyManager.listKeys()).toHaveLength(2);
  });

  it('are taken up by the next start, which writes nothing', async () => {
    const ground = createCaGround();
    const first = await start(ground);
    await ground.clock.advanceAsync(13 * HOUR_MS);
    const before = first.ca.status().authorities;
    await first.ca.close();
    const { revision } = await ground.bucket.list('');
    const second = await start(ground);
    expect(second.ca.status().authorities).toEqual(before);
    expect((await ground.bucket.list('')).revision).toBe(revision);
  });

  it('share bucket, bundle and key manager with X.509 authorities, each with its own', async () => {
    const ground = createCaGround();
    const { ca: _, ...common } = await start(ground);
    const x509 = await createX509Ca(common);
    const keys = await ground.keyManager.listKeys();
    expect(keys.map((key) => key.slice(0, 5))).toEqual(['jwt-0', 'x509-']);
    await x509.close();
    await (await createX509Ca({ ...common, metrics: createMetrics() })).close();
    await (await start(ground)).ca.close();
    expect(await ground.keyManager.listKeys()).toEqual(keys);
    expect(common.bundle.current()).toMatchObject({
      x509Authorities: [{}],
      jwtAuthorities: [{}],
      sequenceNumber: 2n,
    });
  });

  it('whose keys were only in memory are replaced, and stay in the bundle', async () => {
    const ground = createCaGround();
    const first = await start({ ...ground, keyManager: createMemoryKeyManager() });
    await first.ca.close();
    const second = await start({ ...ground, keyManager: createMemoryKeyManager() });
    expect(second.ca.status().authorities.map(({ state }) => state)).toEqual(['old', 'active']);
    expect(second.bundle.current().jwtAuthorities).toHaveLength(2);
  });

  it('go on signing when the clock is set back a minute', async () => {
    const { ca, clock } = await start();
    clock.jump(clock.now() - 59_000);
    expect(await ca.issueJwtSvid(request)).toMatchObject({ issuedAt: clock.now() });
    clock.jump(clock.now() - 1000 * HOUR_MS);
    await expect(ca.issueJwtSvid(request)).rejects.toEqual(withCode('ERR_CA_CLOCK'));
    await settle();
    expect(await ca.issueJwtSvid(request)).toMatchObject({ issuedAt: clock.now() });
  });

  it.each([
    ['a later version', '{"v":2,"authorities":[]}'],
    [
      'a key that is none',
      '{"v":1,"authorities":[{"keyId":"k","state":"active","issuedAt":1,"trustDomain":"a.test","notAfter":2,"publicKey":"AAAA"}]}',
    ],
  ])('refuse a journal with %s', async (_, text) => {
    const ground = createCaGround();
    await ground.bucket.put('jwt.s1', Buffer.from(text));
    await expect(start(ground)).rejects.toEqual(withCode('ERR_CA_JOURNAL'));
  });

  it('refuse the journal of another trust domain', async () => {
    const ground = createCaGround();
    await (await start(ground)).ca.close();
    await expect(start(ground, { trustDomain: TrustDomain.parse('b.test') })).rejects.toEqual(
      withCode('ERR_CA_JOURNAL'),
    );
  });

  it('refuse a life that is none, and SVIDs that outlive them', async () => {
    await expect(start(undefined, { caTtlSeconds: 1 })).rejects.toEqual(withCode('ERR_CA_TTL'));
    await expect(start(undefined, { caTtlSeconds: 60, jwtSvidTtlSeconds: 61 })).rejects.toEqual(
      withCode('ERR_CA_TTL'),
    );
  });
});
