import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import * as fc from 'fast-check';
import { jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { emptyBundle } from '../../src/spiffe/bundle.ts';
import { TrustDomain, TrustplaneError, verifyJwtSvid } from '../../src/spiffe/index.ts';
import { parseAudience } from '../../src/spiffe/jwt-audience.ts';
import { jwtAlgorithms } from '../../src/spiffe/jwt-signature.ts';
import { parseJwtSvid } from '../../src/spiffe/jwt-svid.ts';
import { attempt } from './attempt.ts';

const now = 1_800_000_000_000;
const trustDomain = TrustDomain.parse('a.test');
const pairs = {
  ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const bundle = {
  ...emptyBundle(trustDomain),
  jwtAuthorities: Object.entries(pairs).map(([keyId, { publicKey }]) => ({
    keyId,
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    expiresAt: undefined,
    tainted: false,
  })),
};
const verification = { audience: 'db', bundleOf: () => bundle, now, leewayMs: 30_000 };

function outcome(token: string): string {
  try {
    return verifyJwtSvid(token, verification).spiffeId.toString();
  } catch (error) {
    return error instanceof TrustplaneError ? error.code : `defect: ${String(error)}`;
  }
}

async function joseOutcome(token: string, key: KeyObject): Promise<string> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [...jwtAlgorithms.keys()],
      audience: verification.audience,
      currentDate: new Date(now),
      clockTolerance: verification.leewayMs / 1000,
      requiredClaims: ['sub', 'aud', 'exp'],
    });
    return String(payload.sub);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function signed(header: unknown, claims: unknown, kind: 'ec' | 'rsa'): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part(header)}.${part(claims)}`;
  const key =
    kind === 'ec'
      ? ({ key: pairs.ec.privateKey, dsaEncoding: 'ieee-p1363' } as const)
      : pairs.rsa.privateKey;
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`;
}

const good = signed(
  { alg: 'ES256', kid: 'ec', typ: 'JWT' },
  { sub: 'spiffe://a.test/web', aud: ['db'], exp: now / 1000 + 60, iat: now / 1000 },
  'ec',
);

const instant = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.integer({ min: -60, max: 60 }).map((offset) => now / 1000 + offset),
  },
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.jsonValue(),
);
const audience = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<unknown>('db', ['db'], ['x', 'db']) },
  fc.constantFrom<unknown>([], ['x'], '', 7, null),
);
const claims = fc.record(
  {
    sub: fc.oneof(
      { weight: 4, arbitrary: fc.constant<unknown>('spiffe://a.test/web') },
      fc.constantFrom<unknown>('spiffe://a.test', 'web', 7),
    ),
    aud: audience,
    exp: instant,
    nbf: instant,
    iat: instant,
    more: fc.jsonValue(),
  },
  { requiredKeys: ['sub', 'aud', 'exp'] },
);
const header = fc.record(
  {
    alg: fc.constantFrom('ES256', 'RS256', 'ES384', 'PS256', 'none', 'HS256'),
    kid: fc.constantFrom('ec', 'rsa', 'none'),
    typ: fc.constantFrom('JWT', 'JOSE', 'at+jwt'),
    crit: fc.constantFrom(['exp'], []),
  },
  { requiredKeys: ['alg', 'kid'] },
);

/** Both verdicts on one token: what both say, or what only SPIFFE asks for. */
const agreement =
  /^(?:(spiffe:\S+) \1|(?!spiffe:)ERR_JWT_\w+ (?!spiffe:).*|ERR_JWT_(?:HEADER|KEY_ID|SUBJECT|AUTHORITY|NOT_YET_VALID|TIME) spiffe:.*)$/su;

describe('verifyJwtSvid', () => {
  it('takes nothing that jose refuses, and refuses for reasons of SPIFFE alone what jose takes', async () => {
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof({ weight: 2, arbitrary: fc.constant({ alg: 'ES256', kid: 'ec' }) }, header),
        claims,
        async (header, claims) => {
          const kind = header.kid === 'rsa' ? 'rsa' : 'ec';
          const token = signed(header, claims, kind);
          const own = outcome(token);
          expect(`${own} ${await joseOutcome(token, pairs[kind].publicKey)}`).toMatch(agreement);
          taken += Number(own.startsWith('spiffe:'));
        },
      ),
      { numRuns: 2_000 },
    );
    expect(taken).toBeGreaterThan(20);
  });

  it('refuses every token with a character changed, with its own error', () => {
    expect(outcome(good)).toBe('spiffe://a.test/web');
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 0x20, max: 0x7e }), (at, code) => {
        const changed = good.slice(0, at) + String.fromCharCode(code) + good.slice(at + 1);
        fc.pre(changed !== good);
        expect(outcome(changed)).toMatch(/^ERR_JWT_/u);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('parseJwtSvid', () => {
  it('reads any text or refuses it with its own error', () => {
    const parts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc.constantFrom(...good.split('.')),
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 5 }), (parts) => {
        const svid = attempt(() => parseJwtSvid(parts.join('.')));
        expect(svid?.audience).not.toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('parseAudience', () => {
  it('gives what a token can carry, or refuses', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 300 })), (values) => {
        const audience = attempt(() => parseAudience(values));
        fc.pre(audience !== undefined);
        expect(new Set(audience)).toEqual(new Set(values));
        expect(Buffer.byteLength(JSON.stringify(audience))).toBeLessThan(8_500);
      }),
    );
  });
});
