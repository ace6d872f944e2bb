import { lstatSync, mkdirSync } from 'node:fs';
import { TrustplaneError } from '../spiffe/index.ts';
import { fallbackFolder } from './default-paths.ts';

const OTHERS_MAY_WRITE = 0o022;

/**
 * Refuses the folder in `/tmp` when one of `paths` lies in it and it is another user's: anybody may
 * make a folder of that name first, and would own what is in it, the sockets too. A folder that is
 * this user's stays so, since `/tmp` is sticky.
 * @throws TrustplaneError ERR_FALLBACK_FOLDER
 */
export function checkFallbackFolder(
  uid: number,
  paths: readonly (string | undefined)[],
  folder: string = fallbackFolder(uid),
): void {
  if (!isUsed(folder, paths)) return;
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  if (stats === undefined) return;
  const isOwn = stats.isDirectory() && stats.uid === uid;
  if (isOwn && (stats.mode & OTHERS_MAY_WRITE) === 0) return;
  const mode = (stats.mode & 0o7777).toString(8);
  throw new TrustplaneError(
    'ERR_FALLBACK_FOLDER',
    `${folder} must be a directory of uid ${uid} that nobody else may write; it ${stats.isDirectory() ? '' : 'is none, '}belongs to uid ${stats.uid} and has mode ${mode}. Set XDG_RUNTIME_DIR, or name other paths`,
  );
}

/**
 * Makes the folder in `/tmp` if one of `paths` lies in it; others may look up sockets there.
 * @throws TrustplaneError ERR_FALLBACK_FOLDER
 */
export function openFallbackFolder(
  uid: number,
  paths: readonly string[],
  folder: string = fallbackFolder(uid),
): void {
  if (isUsed(folder, paths)) mkdirSync(folder, { recursive: true, mode: 0o755 });
  checkFallbackFolder(uid, paths, folder);
}

function isUsed(folder: string, paths: readonly (string | undefined)[]): boolean {
  return paths.some((path) => path?.startsWith(`${folder}/`) === true);
}
