import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { CompactEncrypt, FlattenedSign, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { type Bundle, emptyBundle, type TokenAuthority } from './bundle.ts';
import { TrustplaneError } from './errors.ts';
import { type JwtVerification, parseJwtSvid, verifyJwtSvid } from './jwt-svid.ts';
import { TrustDomain } from './trust-domain.ts';

const now = Date.parse('2026-06-01T12:00:00Z');
const seconds = now / 1000;
const ownDomain = TrustDomain.parse('a.test');
const ids = { web: 'spiffe://a.test/web', other: 'spiffe://b.test/web' };

interface Key {
  readonly privateKey: KeyObject;
  readonly authority: TokenAuthority;
}

function makeKey(keyId: string, options: { curve?: string; tainted?: boolean } = {}): Key {
  const { curve = 'P-256', tainted = false } = options;
  const pair =
    curve === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: curve });
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
  const { privateKey } = pair;
  return { privateKey, authority: { keyId, publicKey, expiresAt: undefined, tainted } };
}

const p256 = makeKey('p256');
const p384 = makeKey('p384', { curve: 'P-384' });
const p521 = makeKey('p521', { curve: 'P-521' });
const rsa = makeKey('rsa', { curve: 'rsa' });
const foreign = makeKey('foreign');

function bundleOf(trustDomain: TrustDomain, keys: readonly Key[]): Bundle {
  const jwtAuthorities = keys.map(({ authority }) => authority);
  return { ...emptyBundle(trustDomain), jwtAuthorities };
}

const own = bundleOf(ownDomain, [p256, p384, p521, rsa]);
const bundles = new Map([
  ['a.test', own],
  ['b.test', bundleOf(TrustDomain.parse('b.test'), [foreign])],
]);

const good = { sub: ids.web, aud: ['db'], exp: seconds + 300, iat: seconds };

interface Shape {
  readonly header?: object;
  readonly claims?: object;
  readonly key?: Key;
}

/** Signs whatever it is given, with the algorithm of RFC 7518 that its header names. */
async function token({ header = {}, claims = {}, key = p256 }: Shape = {}): Promise<string> {
  return await new SignJWT({ ...good, ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: key.authority.keyId, ...header })
    .sign(key.privateKey);
}

function part(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return Buffer.from(text).toString('base64url');
}

/** Signed with ES256, whatever header and payload say. */
function rawToken(header: unknown, payload: unknown): string {
  const input = `${part(header)}.${part(payload)}`;
  const key = { key: p256.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`;
}

const verification: JwtVerification = {
  audience: 'db',
  bundleOf: ({ name }) => bundles.get(name),
  now,
  leewayMs: 60_000,
};

function outcome(text: string, change: Partial<JwtVerification> = {}): string {
  try {
    return verifyJwtSvid(text, { ...verification, ...change }).spiffeId.toString();
  } catch (error) {
    return error instanceof TrustplaneError ? error.code : String(error);
  }
}

const header = { alg: 'ES256', kid: 'p256' };

describe('verifyJwtSvid', () => {
  const fitting: readonly (readonly [string, Key])[] = [
    ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, rsa] as const),
    ['ES256', p256],
    ['ES384', p384],
    ['ES512', p521],
  ];

  it.each(fitting)('takes %s of a fitting key (JWT-2)', async (alg, key) => {
    expect(outcome(await token({ header: { alg }, key }))).toBe(ids.web);
  });

  it.each(['none', 'HS256', 'EdDSA', 'ES256K', 'es256', '', 'RS1', 256, null])(
    'refuses the algorithm %s before anything else (JWT-2)',
    (alg) => {
      expect(outcome(`${part({ alg, kid: 'p256' })}.${part('no JSON')}.AAAA`)).toBe(
        'ERR_JWT_ALGORITHM',
      );
    },
  );

  it('refuses a key of another kind than the algorithm needs (JWT-14)', async () => {
    const mixed = [
      ['ES256', p384],
      ['ES256', rsa],
      ['ES512', p256],
      ['RS256', p256],
      ['PS512', p521],
    ] as const;
    for (const [alg, { authority }] of mixed) {
      const text = `${part({ alg, kid: authority.keyId })}.${part(good)}.${part('x'.repeat(64))}`;
      expect([alg, outcome(text)]).toEqual([alg, 'ERR_JWT_ALGORITHM']);
    }
  });

  it('refuses what is no JWS compact serialization: JSON, JWE, parts more or less (JWT-1)', async () => {
    const whole = await token();
    const [head = '', payload = '', signature = ''] = whole.split('.');
    const json = await new FlattenedSign(Buffer.from(JSON.stringify(good)))
      .setProtectedHeader(header)
      .sign(p256.privateKey);
    const jwe = await new CompactEncrypt(Buffer.from(JSON.stringify(good)))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A128GCM' })
      .encrypt(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
    for (const text of [
      '',
      '..',
      'a.b.c',
      JSON.stringify(json),
      jwe,
      `${head}.${payload}`,
      `${head}.${payload}.`,
      `${whole}.`,
      `${head}.${payload}.${signature}=`,
      ` ${whole}`,
      `${whole}\n`,
      `${head}.${payload}.${signature.slice(0, -1)}`,
    ]) {
      expect([text, outcome(text)]).toEqual([text, 'ERR_JWT_FORMAT']);
    }
    expect(outcome(`${'a'.repeat(16_380)}.b.c`)).toBe('ERR_JWT_FORMAT');
  });

  it('reads JSON strictly: no member twice, in header or payload', () => {
    const twice = (name: string, value: object) =>
      JSON.stringify(value).replace('{', `{${JSON.stringify(name)}:"x",`);
    expect(outcome(rawToken(twice('kid', header), good))).toBe('ERR_JWT_FORMAT');
    expect(outcome(rawToken(header, twice('sub', good)))).toBe('ERR_JWT_FORMAT');
    expect(outcome(rawToken(header, '[]'))).toBe('ERR_JWT_FORMAT');
    expect(outcome(rawToken(header, good))).toBe(ids.web);
  });

  it.each(['crit', 'jwk', 'jku', 'x5c', 'x5u', 'x5t', 'b64', 'cty', 'zip', 'enc', 'own'])(
    'refuses the header member %s (JWT-3)',
    (name) => {
      const value = name === 'crit' ? ['exp'] : 'x';
      expect(outcome(rawToken({ ...header, [name]: value }, good))).toBe('ERR_JWT_HEADER');
    },
  );

  it('takes the typ JWT, JOSE and none, and no other (JWT-5)', () => {
    for (const typ of ['JWT', 'JOSE'])
      expect(outcome(rawToken({ ...header, typ }, good))).toBe(ids.web);
    for (const typ of ['wit+jwt', 'at+jwt', 'jwt', 'application/jwt', '', null, 1])
      expect([typ, outcome(rawToken({ ...header, typ }, good))]).toEqual([typ, 'ERR_JWT_HEADER']);
  });

  it('wants a kid, and the key of the bundle that has it (JWT-4, JWT-11)', () => {
    for (const kid of [undefined, '', 7, null, 'k'.repeat(1025)])
      expect(outcome(rawToken({ ...header, kid }, good))).toBe('ERR_JWT_KEY_ID');
    expect(outcome(rawToken({ ...header, kid: 'unknown' }, good))).toBe('ERR_JWT_AUTHORITY');
  });

  it('takes no key of another purpose (JWT-11, WLAPI-15)', async () => {
    const bundle = { ...bundleOf(ownDomain, []), witAuthorities: [p256.authority] };
    expect(outcome(await token(), { bundleOf: () => bundle })).toBe('ERR_JWT_AUTHORITY');
  });

  it.each([
    undefined,
    7,
    null,
    '',
    'web',
    'https://a.test/web',
    'spiffe://a.test',
    'spiffe://a.test/',
    'spiffe://a.test:1/web',
    'spiffe://A.test/web',
    ['spiffe://a.test/web'],
  ])('refuses the sub %j (JWT-6)', (sub) => {
    expect(outcome(rawToken(header, { ...good, sub }))).toBe('ERR_JWT_SUBJECT');
  });

  it('wants its own audience among those of the token (JWT-7)', () => {
    for (const aud of ['db', ['db'], ['x', 'db'], ['db', 'db']])
      expect(outcome(rawToken(header, { ...good, aud }))).toBe(ids.web);
    for (const aud of [undefined, '', [], ['x'], 'x', 'db ', ['DB'], null, 1, [['db']], ['db', 1]])
      expect([aud, outcome(rawToken(header, { ...good, aud }))]).toEqual([aud, 'ERR_JWT_AUDIENCE']);
    expect(outcome(rawToken(header, { ...good, aud: '' }), { audience: '' })).toBe(
      'ERR_JWT_AUDIENCE',
    );
  });

  it('wants an exp that is a number, and is not past by more than the leeway (JWT-8)', () => {
    for (const exp of [undefined, null, `${seconds + 60}`, -1, 1e300, '9'.repeat(400), true])
      expect(outcome(rawToken(header, { ...good, exp }))).toBe('ERR_JWT_TIME');
    const at = (exp: number, leewayMs: number) =>
      outcome(rawToken(header, { ...good, iat: undefined, exp }), { leewayMs });
    expect(at(seconds + 1, 0)).toBe(ids.web);
    expect(at(seconds, 0)).toBe('ERR_JWT_EXPIRED');
    expect(at(seconds + 0.5, 0)).toBe(ids.web);
    expect(at(seconds - 59, 60_000)).toBe(ids.web);
    expect(at(seconds - 60, 60_000)).toBe('ERR_JWT_EXPIRED');
  });

  it('honors nbf and iat, with the leeway (JWT-9)', () => {
    for (const name of ['nbf', 'iat']) {
      const at = (value: unknown) => outcome(rawToken(header, { ...good, [name]: value }));
      expect(at(seconds + 60)).toBe(ids.web);
      expect(at(seconds + 61)).toBe('ERR_JWT_NOT_YET_VALID');
      expect(at('soon')).toBe('ERR_JWT_TIME');
      expect(at(undefined)).toBe(ids.web);
    }
  });

  it('takes keys of the bundle of the own trust domain of the subject only (JWT-10)', async () => {
    const text = await token({ claims: { sub: ids.other }, key: foreign });
    expect(outcome(text)).toBe(ids.other);
    expect(outcome(await token({ claims: { sub: ids.other } }))).toBe('ERR_JWT_AUTHORITY');
    expect(outcome(await token({ key: foreign }))).toBe('ERR_JWT_AUTHORITY');
    const sub = 'spiffe://c.test/web';
    expect(outcome(await token({ claims: { sub } }))).toBe('ERR_JWT_TRUST_DOMAIN');
    expect(outcome(await token({ claims: { sub } }), { bundleOf: () => own })).toBe(
      'ERR_JWT_TRUST_DOMAIN',
    );
  });

  it('refuses the key ID of one trust domain with the key of another', async () => {
    const twin = makeKey('p256');
    const text = await token({ claims: { sub: ids.other }, key: p256 });
    const b = bundleOf(TrustDomain.parse('b.test'), [twin]);
    const found = outcome(text, { bundleOf: ({ name }) => (name === 'b.test' ? b : own) });
    expect(found).toBe('ERR_JWT_SIGNATURE');
  });

  it('takes a tainted key until it is revoked, an expired one never', async () => {
    const text = await token();
    const withKey = (change: Partial<TokenAuthority>) =>
      bundleOf(ownDomain, [{ ...p256, authority: { ...p256.authority, ...change } }]);
    const at = (bundle: Bundle) => outcome(text, { bundleOf: () => bundle, leewayMs: 0 });
    expect(at(withKey({ tainted: true }))).toBe(ids.web);
    expect(at(withKey({ expiresAt: now + 1 }))).toBe(ids.web);
    expect(at(withKey({ expiresAt: now }))).toBe('ERR_JWT_AUTHORITY');
    expect(at(bundleOf(ownDomain, []))).toBe('ERR_JWT_AUTHORITY');
  });

  it('refuses what is changed after it was signed', async () => {
    const [head = '', , signature = ''] = (await token()).split('.');
    const changed = part({ ...good, sub: 'spiffe://a.test/admin' });
    expect(outcome(`${head}.${changed}.${signature}`)).toBe('ERR_JWT_SIGNATURE');
    const der = sign('sha256', Buffer.from(`${head}.${changed}`), p256.privateKey);
    expect(outcome(`${head}.${changed}.${der.toString('base64url')}`)).toBe('ERR_JWT_SIGNATURE');
    const zeros = Buffer.alloc(64).toString('base64url');
    expect(outcome(`${head}.${changed}.${zeros}`)).toBe('ERR_JWT_SIGNATURE');
  });

  it('tells what a token says, every claim as it stands', () => {
    const text = rawToken(header, { ...good, nbf: seconds - 1, jti: 'j', roles: [{ a: null }] });
    expect(parseJwtSvid(text)).toMatchObject({
      audience: ['db'],
      expiresAt: now + 300_000,
      notBefore: now - 1000,
      issuedAt: now,
      keyId: 'p256',
      algorithm: 'ES256',
    });
    expect([...parseJwtSvid(text).claims.keys()]).toEqual([
      'sub',
      'aud',
      'exp',
      'iat',
      'nbf',
      'jti',
      'roles',
    ]);
  });
});
