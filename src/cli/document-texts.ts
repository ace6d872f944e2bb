import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import type { DocumentText } from '../apply/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { readInput } from './read-input.ts';

const MAX_FILE_BYTES = 268_435_456;
const MAX_FILES = 200_000;
/** Of all together. */
const MAX_BYTES = 536_870_912;

/**
 * The texts at the paths: files, `-` for standard input, and of directories all *.yaml, *.yml and
 * *.json below that are not hidden, in order of their names; links in it lead to files in it. At most 512 MiB.
 * @throws TrustplaneError ERR_USAGE, ERR_FILE_*
 */
export async function* readDocumentTexts(paths: readonly string[]): AsyncGenerator<DocumentText> {
  const names = (await Promise.all(paths.map(listFiles))).flat();
  if (names.length > MAX_FILES)
    throw new TrustplaneError(
      'ERR_USAGE',
      `expected at most ${MAX_FILES} files; got ${names.length}`,
    );
  let left = MAX_BYTES;
  for (const name of names) {
    const bytes = await readInput(name, MAX_FILE_BYTES);
    left -= bytes.length;
    if (left < 0) {
      const message = `the files up to ${name} have more than ${MAX_BYTES} bytes, the most allowed in all`;
      throw new TrustplaneError('ERR_FILE_TOO_LARGE', message);
    }
    yield { name, text: textOf(name, bytes) };
  }
}

function textOf(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TrustplaneError('ERR_APPLY_DOCUMENT', `${name}:1:1: it is not UTF-8`, { cause });
  }
}

async function listFiles(place: string): Promise<readonly string[]> {
  if (place === '-') return [place];
  try {
    if (!(await stat(place)).isDirectory()) return [place];
    const found = await readdir(place, { recursive: true, withFileTypes: true });
    const documents = found
      .filter((entry) => !entry.isDirectory())
      .map((entry) => ({ entry, file: path.join(entry.parentPath, entry.name) }))
      .filter(({ file }) => isDocument(path.relative(place, file)));
    const root = await realpath(place);
    const fits = await Promise.all(documents.map((one) => isFileWithin(one, root)));
    return documents.flatMap(({ file }, index) => (fits[index] === true ? [file] : [])).sort();
  } catch (cause) {
    if (cause instanceof TrustplaneError) throw cause;
    throw new TrustplaneError('ERR_USAGE', `${place}: ${messageOf(cause)}`, { cause });
  }
}

/** What others put into the directory names no file of whoever applies it. False: a link to a directory. */
async function isFileWithin(
  { entry, file }: { readonly entry: Dirent; readonly file: string },
  root: string,
): Promise<boolean> {
  if (entry.isFile()) return true;
  const target = await realpath(file);
  if (!target.startsWith(root.endsWith(path.sep) ? root : root + path.sep))
    throw notMeant(file, `leads to ${target}, outside of ${root}`);
  const found = await stat(target);
  if (!found.isFile() && !found.isDirectory()) throw notMeant(file, 'is no file');
  return found.isFile();
}

function notMeant(file: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', `${file} ${why}; if it is meant, name it by itself`);
}

function isDocument(name: string): boolean {
  return (
    /\.(?:ya?ml|json)$/u.test(name) && !name.split(path.sep).some((part) => part.startsWith('.'))
  );
}
