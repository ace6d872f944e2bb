import { TrustplaneError } from '../spiffe/index.ts';
import type { KeyManager, SigningKey } from './key-manager.ts';
import { checkKeyId, createSigningKey, generatePrivateKey } from './private-key.ts';

/** Keys in memory, gone with the process. */
export function createMemoryKeyManager(): KeyManager {
  const keys = new Map<string, SigningKey>();
  return {
    isDurable: false,
    async generateKey(keyId, keyType) {
      checkKeyId(keyId);
      const key = createSigningKey(keyId, keyType, await generatePrivateKey(keyType));
      if (keys.has(keyId)) throw keyExists(keyId);
      keys.set(keyId, key);
      return key;
    },
    getKey: async (keyId) => keys.get(keyId),
    deleteKey: async (keyId) => keys.delete(keyId),
    listKeys: async () => [...keys.keys()].sort(),
  };
}

export function keyExists(keyId: string): TrustplaneError {
  return new TrustplaneError('ERR_KEY_EXISTS', `there is a key ${keyId} already`);
}
