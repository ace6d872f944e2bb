import type { CaGround } from './ca-world.ts';
import { overBucket } from './over-bucket.ts';

/** What happens around the n-th durable change. */
export interface Death {
  readonly at: number;
  readonly when: 'before' | 'after';
  /** The process lives on, but is told that the change failed. */
  readonly isLie?: boolean;
}

/** A ground on which the process dies: the change happens or not, and nothing works any more. */
export function mortalGround(
  ground: CaGround,
  death: Death,
): CaGround & { readonly isDead: () => boolean } {
  let changes = 0;
  let isDead = false;
  const killed = (): Error => new Error('killed');
  async function read<T>(action: () => Promise<T>): Promise<T> {
    if (isDead) throw killed();
    return action();
  }
  async function change<T>(action: () => Promise<T>): Promise<T> {
    if (isDead) throw killed();
    changes++;
    if (changes !== death.at) return action();
    if (death.when === 'after') await action();
    isDead = death.isLie !== true;
    throw killed();
  }
  const { bucket, keyManager } = ground;
  return {
    clock: ground.clock,
    isDead: () => isDead,
    bucket: overBucket(bucket, {
      get: (key) => read(() => bucket.get(key)),
      list: (prefix) => read(() => bucket.list(prefix)),
      put: (key, value, expected) => change(() => bucket.put(key, value, expected)),
    }),
    keyManager: {
      isDurable: true,
      generateKey: (keyId, keyType) => change(() => keyManager.generateKey(keyId, keyType)),
      deleteKey: (keyId) => change(() => keyManager.deleteKey(keyId)),
      getKey: (keyId) => read(() => keyManager.getKey(keyId)),
      listKeys: () => read(() => keyManager.listKeys()),
    },
  };
}
