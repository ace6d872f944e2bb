import { createPublicKey, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { KeyManager, KeyType } from '../../src/ca/key-manager.ts';

/** A key manager under test, and the way to a new one on the same durable state. */
export interface KeyManagerUnderTest {
  readonly manager: KeyManager;
  reopen(): Promise<KeyManager>;
}

/** What every KeyManager must do. */
export function describeKeyManager(name: string, create: () => Promise<KeyManagerUnderTest>): void {
  describe(`key manager: ${name}`, () => {
    it.each<[KeyType, string]>([
      ['ec-p256', 'sha256'],
      ['ec-p384', 'sha384'],
      ['rsa-2048', 'sha256'],
    ])('makes a key of type %s whose signatures verify', async (keyType, hash) => {
      const { manager } = await create();
      const key = await manager.generateKey('k1', keyType);
      expect(key).toMatchObject({ keyId: 'k1', keyType });
      expect(isSigned(key.publicKey, hash, await key.sign(Buffer.from('data')))).toBe(true);
    });

    it('finds, lists and deletes keys', async () => {
      const { manager } = await create();
      await manager.generateKey('b', 'ec-p256');
      const key = await manager.generateKey('a', 'ec-p256');
      expect(await manager.listKeys()).toEqual(['a', 'b']);
      expect((await manager.getKey('a'))?.publicKey).toEqual(key.publicKey);
      expect(await manager.deleteKey('a')).toBe(true);
      expect(await manager.deleteKey('a')).toBe(false);
      expect(await manager.getKey('a')).toBeUndefined();
      expect(await manager.listKeys()).toEqual(['b']);
    });

    it('makes another key each time', async () => {
      const { manager } = await create();
      const first = await manager.generateKey('k1', 'ec-p256');
      await manager.deleteKey('k1');
      const second = await manager.generateKey('k1', 'ec-p256');
      expect(second.publicKey).not.toEqual(first.publicKey);
    });

    it('refuses a key ID that is taken, also while the key is being made', async () => {
      const { manager } = await create();
      const results = await Promise.allSettled([
        manager.generateKey('k1', 'ec-p256'),
        manager.generateKey('k1', 'ec-p256'),
      ]);
      expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
      await expect(manager.generateKey('k1', 'ec-p256')).rejects.toMatchObject({
        code: 'ERR_KEY_EXISTS',
      });
    });

    it.each(['', '.', '../up', 'a/b', '-a', 'a.b', 'ä', 'x'.repeat(129)])(
      'refuses the key ID %j',
      async (keyId) => {
        const { manager } = await create();
        await expect(manager.generateKey(keyId, 'ec-p256')).rejects.toMatchObject({
          code: 'ERR_KEY_ID',
        });
      },
    );

    it('keeps keys over a restart exactly when it says it is durable', async () => {
      const { manager, reopen } = await create();
      const kept = await manager.generateKey('kept', 'ec-p384');
      await manager.generateKey('gone', 'ec-p256');
      await manager.deleteKey('gone');
      const again = await reopen();
      expect(await again.listKeys()).toEqual(manager.isDurable ? ['kept'] : []);
      const found = await again.getKey('kept');
      expect(found?.publicKey).toEqual(manager.isDurable ? kept.publicKey : undefined);
      const signature = (await found?.sign(Buffer.from('data'))) ?? new Uint8Array();
      expect(isSigned(kept.publicKey, 'sha384', signature)).toBe(manager.isDurable);
    });
  });
}

function isSigned(publicKey: Uint8Array, hash: string, signature: Uint8Array): boolean {
  const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
  return verify(hash, Buffer.from('data'), key, signature);
}
