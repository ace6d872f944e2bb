import { setFlagsFromString } from 'node:v8';

/**
 * Runs a load of much that stays. Meanwhile V8 does not enlarge its young generation: as all that is
 * read survives, it would grow to its limit, 128 MiB on a large host, and hardly ever shrink again.
 */
export async function withSteadyHeap<T>(load: () => Promise<T>): Promise<T> {
  setFlagsFromString('--semi-space-growth-factor=1');
  try {
    return await load();
  } finally {
    setFlagsFromString('--semi-space-growth-factor=2');
  }
}
