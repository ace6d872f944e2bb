import type { KeyManager } from './key-manager.ts';

/** Makes keys in `current` and still uses those that `former` holds, until they are deleted. */
export function joinKeyManagers(current: KeyManager, former: KeyManager): KeyManager {
  return {
    isDurable: current.isDurable,
    generateKey: (keyId, keyType) => current.generateKey(keyId, keyType),
    getKey: async (keyId) => (await former.getKey(keyId)) ?? (await current.getKey(keyId)),
    async deleteKey(keyId) {
      const wasFormer = await former.deleteKey(keyId);
      return (await current.deleteKey(keyId)) || wasFormer;
    },
    async listKeys() {
      const [some, others] = await Promise.all([former.listKeys(), current.listKeys()]);
      return [...new Set([...some, ...others])].sort();
    },
  };
}
