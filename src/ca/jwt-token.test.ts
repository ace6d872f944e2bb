import { createPublicKey } from 'node:crypto';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { SpiffeId } from '../spiffe/index.ts';
import { writeJwtSvid } from './jwt-token.ts';
import { keyTypes, type SigningKey } from './key-manager.ts';
import { createMemoryKeyManager } from './memory-key-manager.ts';

const now = 1_800_000_000_250;
const claims = {
  spiffeId: SpiffeId.parse('spiffe://example.org/ns/prod/sa/web'),
  audience: ['spiffe://example.org/db'],
  issuedAt: now,
  expiresAt: now + 300_000,
};

async function makeKey(keyType: (typeof keyTypes)[number]): Promise<SigningKey> {
  return await createMemoryKeyManager().generateKey('k1', keyType);
}

async function verify(token: string, key: SigningKey) {
  const publicKey = createPublicKey({
    key: Buffer.from(key.publicKey),
    format: 'der',
    type: 'spki',
  });
  return await jwtVerify(token, publicKey, { currentDate: new Date(now) });
}

describe('writeJwtSvid', () => {
  it.each(keyTypes)('signs what jose verifies, with a key %s (JWT-2, JWT-14)', async (keyType) => {
    const key = await makeKey(keyType);
    for (let round = 0; round < (keyType.startsWith('ec') ? 300 : 3); round++) {
      const token = await writeJwtSvid(key, 'kid-1', { ...claims, id: `${round}` });
      const { payload, protectedHeader } = await verify(token, key);
      expect(protectedHeader).toEqual({
        alg: { 'ec-p256': 'ES256', 'ec-p384': 'ES384', 'rsa-2048': 'RS256', 'rsa-4096': 'RS256' }[
          keyType
        ],
        kid: 'kid-1',
        typ: 'JWT',
      });
      expect(payload).toEqual({
        sub: 'spiffe://example.org/ns/prod/sa/web',
        aud: ['spiffe://example.org/db'],
        iat: 1_800_000_000,
        exp: 1_800_000_300,
        jti: `${round}`,
      });
    }
  });

  it('has no header members but alg, kid and typ (JWT-3, JWT-4, JWT-5)', async () => {
    const token = await writeJwtSvid(await makeKey('ec-p256'), 'kid-1', claims);
    expect(Object.keys(decodeProtectedHeader(token)).sort()).toEqual(['alg', 'kid', 'typ']);
  });

  it('says who issued it when it is told', async () => {
    const key = await makeKey('ec-p256');
    const issuer = 'https://oidc.example.org';
    const { payload } = await verify(await writeJwtSvid(key, 'k', { ...claims, issuer }), key);
    expect(payload.iss).toBe(issuer);
  });

  it('carries any audience as it is', async () => {
    const key = await makeKey('ec-p256');
    const audience = ['ü "quoted" \\ \u2028', 'b'];
    const { payload } = await verify(await writeJwtSvid(key, 'k', { ...claims, audience }), key);
    expect(payload.aud).toEqual(audience);
  });

  it('pads short r and s to their full length', async () => {
    const key = await makeKey('ec-p256');
    const der = (r: number[], s: number[]) =>
      Uint8Array.from([0x30, r.length + s.length + 4, 2, r.length, ...r, 2, s.length, ...s]);
    const signed = async (signature: Uint8Array) =>
      await writeJwtSvid({ ...key, sign: async () => signature }, 'k', claims);
    const [, , text = ''] = (await signed(der([1], [0, 0x80]))).split('.');
    const raw = Buffer.from(text, 'base64url');
    expect(raw.toString('hex')).toBe(`${'00'.repeat(31)}01${'00'.repeat(31)}80`);
    const long = Array.from({ length: 33 }, () => 1);
    const malformed = [der([0], [1]), der([0x80], [1]), der(long, [1]), der([1], [1]).subarray(1)];
    for (const each of [...malformed, Uint8Array.from([...der([1], [1]), 0])]) {
      await expect(signed(each)).rejects.toMatchObject({ code: 'ERR_DER' });
    }
  });
});
