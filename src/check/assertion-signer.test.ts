import { generateKeyPairSync } from 'node:crypto';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { SpiffeId, TrustDomain, verifyJwtSvid } from '../spiffe/index.ts';
import { assertionJwks, makeAssertionKey } from './assertion-key-set.ts';
import { type Assertion, AssertionSigner } from './assertion-signer.ts';

const now = 1_800_000_000_500;
const about: Assertion = {
  callerId: 'spiffe://a.test/web',
  audience: 'spiffe://a.test/api',
  headers: new Map([['x-user', 'ann']]),
};
let count = 0;
const randomBytes = (bytes: number) => new Uint8Array(bytes).fill(++count);
const key = makeAssertionKey(0, randomBytes);

let clock: FakeClock;
let signer: AssertionSigner;
beforeEach(() => {
  clock = new FakeClock(now);
  signer = new AssertionSigner({ issuer: 'spiffe://a.test', ttlSeconds: 60, clock, randomBytes });
  signer.use(key);
});

async function verified(token: string | undefined) {
  return await jwtVerify(token ?? '', createLocalJWKSet(JSON.parse(assertionJwks([key]))), {
    issuer: 'spiffe://a.test',
    audience: 'spiffe://a.test/api',
    algorithms: ['ES256'],
    typ: 'assertion+jwt',
    requiredClaims: ['sub', 'iat', 'exp', 'jti'],
    currentDate: new Date(clock.now()),
  });
}

describe('a signed assertion', () => {
  it('says who calls, whom and as which user, and verifies with jose', async () => {
    const { payload, protectedHeader } = await verified(signer.sign(about));
    expect(payload).toEqual({
      iss: 'spiffe://a.test',
      sub: about.callerId,
      aud: about.audience,
      iat: 1_800_000_000,
      exp: 1_800_000_060,
      jti: expect.stringMatching(/^[\w-]{22}$/u),
      headers: { 'x-user': 'ann' },
    });
    expect(protectedHeader).toEqual({ alg: 'ES256', kid: key.keyId, typ: 'assertion+jwt' });
  });

  it('is given out again for half of its life, to say the same', async () => {
    const first = signer.sign(about);
    clock.advance(29_999);
    expect(signer.sign({ ...about, headers: new Map([['x-user', 'ann']]) })).toBe(first);
    clock.advance(1);
    const second = signer.sign(about);
    expect(second).not.toBe(first);
    expect((await verified(second)).payload.iat).toBe(1_800_000_030);
  });

  it('is another one for each caller, service and value', () => {
    const others = [
      { ...about, callerId: 'spiffe://a.test/job' },
      { ...about, audience: 'spiffe://a.test/db' },
      { ...about, headers: new Map([['x-user', 'bob']]) },
      { ...about, headers: new Map() },
    ];
    const tokens = [about, ...others].map((one) => signer.sign(one));
    expect(new Set(tokens).size).toBe(5);
  });

  it('is signed with the next key as soon as there is one', () => {
    const first = signer.sign(about);
    const next = makeAssertionKey(0, randomBytes);
    signer.use(next);
    expect(decodeProtectedHeader(signer.sign(about) ?? '').kid).toBe(next.keyId);
    expect(decodeProtectedHeader(first ?? '').kid).toBe(key.keyId);
  });

  it('is not signed without a key, or into the future of a clock that went back', () => {
    const options = { issuer: 'x', ttlSeconds: 60, clock, randomBytes };
    expect(new AssertionSigner(options).sign(about)).toBeUndefined();
    let at = now;
    const turning = { now: () => at, setTimer: () => ({ cancel() {} }) };
    const turned = new AssertionSigner({ ...options, clock: turning });
    turned.use(key);
    const late = turned.sign(about);
    at = now - 60_000;
    expect(turned.sign(about)).not.toBe(late);
  });

  it('is no JWT-SVID (JWT-5)', () => {
    const trustDomain = TrustDomain.parse('a.test');
    const bundle = {
      trustDomain,
      x509Authorities: [],
      jwtAuthorities: [{ ...key, expiresAt: undefined, tainted: false }],
      witAuthorities: [],
      sequenceNumber: undefined,
      refreshHintSeconds: undefined,
    };
    const verify = () =>
      verifyJwtSvid(signer.sign(about) ?? '', {
        audience: about.audience,
        bundleOf: () => bundle,
        now,
        leewayMs: 0,
      });
    expect(SpiffeId.parse(about.callerId).isTrustDomainId).toBe(false);
    expect(verify).toThrow(expect.objectContaining({ code: 'ERR_JWT_HEADER' }));
  });

  it('takes a P-256 key alone', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const der = new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' }));
    expect(() => signer.use({ keyId: 'x', privateKey: der })).toThrow('P-256');
  });
});
