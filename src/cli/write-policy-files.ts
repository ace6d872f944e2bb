import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { isPolicyFileName, TrustplaneError } from '../spiffe/index.ts';

const FILE_MODE = 0o644;

/**
 * Writes the files of a version into a directory that has no policies but these, so that what is there then is the version.
 * Names are not believed, and a link that stands there is replaced.
 * @throws TrustplaneError ERR_REMOTE, ERR_USAGE, ERR_FILE_WRITE
 */
export async function writePolicyFiles(
  directory: string,
  files: readonly { readonly name: string; readonly content: Uint8Array }[],
): Promise<void> {
  const { writeFileAtomic } = await import('../ops/index.ts');
  const names = new Set(files.map(({ name }) => name));
  if (names.size < files.length || !files.every(({ name }) => isPolicyFileName(name)))
    throw new TrustplaneError('ERR_REMOTE', 'the server named a file that none may be called');
  await mkdir(directory, { recursive: true });
  const other = (await readdir(directory)).find(
    (name) => /\.ya?ml$/u.test(name) && !names.has(name),
  );
  if (other !== undefined)
    throw new TrustplaneError(
      'ERR_USAGE',
      `${directory}: expected a directory without other policies; ${other} is not of this version`,
    );
  for (const { name, content } of files)
    await writeFileAtomic(path.join(directory, name), content, { mode: FILE_MODE });
}
