import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { DocumentText } from '../apply/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { readInput } from './read-input.ts';

const MAX_FILE_BYTES = 268_435_456;
const MAX_FILES = 200_000;

/**
 * The texts at the paths: files, `-` for standard input, and of directories all *.yaml, *.yml and
 * *.json below that are not hidden, in order of their names.
 * @throws TrustplaneError ERR_USAGE, ERR_FILE_*
 */
export async function* readDocumentTexts(paths: readonly string[]): AsyncGenerator<DocumentText> {
  const names = (await Promise.all(paths.map(listFiles))).flat();
  if (names.length > MAX_FILES)
    throw new TrustplaneError(
      'ERR_USAGE',
      `expected at most ${MAX_FILES} files; got ${names.length}`,
    );
  for (const name of names)
    yield { name, text: textOf(name, await readInput(name, MAX_FILE_BYTES)) };
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
    return found
      .filter((entry) => entry.isFile() || entry.isSymbolicLink())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .filter((file) => isDocument(path.relative(place, file)))
      .sort();
  } catch (cause) {
    throw new TrustplaneError('ERR_USAGE', `${place}: ${messageOf(cause)}`, { cause });
  }
}

function isDocument(name: string): boolean {
  return (
    /\.(?:ya?ml|json)$/u.test(name) && !name.split(path.sep).some((part) => part.startsWith('.'))
  );
}
