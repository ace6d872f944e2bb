import { setFlagsFromString } from 'node:v8';

/**
 * From now on V8 does not enlarge its young generation. Left alone it grows to 128 MiB on a large host as
 * soon as much that is new stays, as when entries are loaded or agents connect, and hardly ever
 * shrinks again; collecting a small one more often costs no more.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
