import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..', '..', '.cache');

/** A filled folder of the project's cache whose name is right, if there is one. */
export function findCachedFolder(isRight: (name: string) => boolean): string | undefined {
  const names = existsSync(root) ? readdirSync(root) : [];
  const name = names.find((each) => isRight(each));
  return name === undefined ? undefined : path.join(root, name);
}

/**
 * A folder of the project's cache that `fill` has filled, once for ever. Processes may race: each
 * fills a folder of its own and the first to finish wins; a folder is never seen half full.
 */
export async function cachedFolder(
  name: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = path.join(root, name);
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}-${randomBytes(4).toString('hex')}`;
  await mkdir(draft, { recursive: true });
  try {
    await fill(draft);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
