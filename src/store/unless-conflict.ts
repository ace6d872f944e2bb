import { TrustplaneError } from '../spiffe/index.ts';

/** What a compare-and-set resolves to, or undefined when the key was not at the expected revision. */
export async function unlessConflict<T>(write: () => Promise<T>): Promise<T | undefined> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof TrustplaneError && error.code === 'ERR_STORE_CONFLICT') return undefined;
    throw error;
  }
}
