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

/** Told of what cannot be read, as `file:line:column: what`. */
export type OnMistake = (mistake: string) => void;

/**
 * The texts at the paths: files, `-` for standard input, and of directories all *.yaml, *.yml and
 * *.json below that are not hidden, in order of their names; links in it lead to files in it. At most 512 MiB.
 * @throws TrustplaneError ERR_USAGE; ERR_FILE_TOO_LARGE of all together
 */
export async function* readDocumentTexts(
  paths: readonly string[],
  onMistake: OnMistake,
  maxFileBytes: number = MAX_FILE_BYTES,
): AsyncGenerator<DocumentText> {
  const names = (await Promise.all(paths.map((place) => listFiles(place, onMistake)))).flat();
  if (names.length > MAX_FILES)
    throw new TrustplaneError(
      'ERR_USAGE',
      `expected at most ${MAX_FILES} files; got ${names.length}`,
    );
  let left = MAX_BYTES;
  for (const name of names) {
    const read = await readText(name, maxFileBytes);
    if ('mistake' in read) {
      onMistake(read.mistake);
      continue;
    }
    left -= read.bytes;
    if (left < 0) {
      const message = `the files up to ${name} have more than ${MAX_BYTES} bytes, the most allowed in all`;
      throw new TrustplaneError('ERR_FILE_TOO_LARGE', message);
    }
    yield { name, text: read.text };
  }
}

async function readText(
  name: string,
  maxBytes: number,
): Promise<{ readonly text: string; readonly bytes: number } | { readonly mistake: string }> {
  try {
    const bytes = await readInput(name, maxBytes);
    const text = decodeUtf8(bytes);
    if (text !== undefined) return { text, bytes: bytes.length };
    const { line, column } = placeOfFault(bytes);
    return { mistake: `${name}:${line}:${column}: it is not UTF-8` };
  } catch (error) {
    return { mistake: `${name}:1:1: ${messageOf(error)}` };
  }
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Where the first line begins that is not UTF-8, and how far it is. */
function placeOfFault(bytes: Uint8Array): { readonly line: number; readonly column: number } {
  const read = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const whole = new TextEncoder().encode(read);
  const at = whole.findIndex((byte, index) => byte !== bytes[index]);
  const before = new TextDecoder().decode(whole.subarray(0, at)).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

async function listFiles(place: string, onMistake: OnMistake): Promise<readonly string[]> {
  if (place === '-') return [place];
  try {
    if (!(await stat(place)).isDirectory()) return [place];
    const found = await readdir(place, { recursive: true, withFileTypes: true });
    const documents = found
      .filter((entry) => !entry.isDirectory())
      .map((entry) => ({ entry, file: path.join(entry.parentPath, entry.name) }))
      .filter(({ file }) => isDocument(path.relative(place, file)));
    const root = await realpath(place);
    const files: string[] = [];
    for (const { entry, file } of documents) {
      const found = await isFileWithin(entry, file, root).catch(messageOf);
      if (found === true) files.push(file);
      else if (found !== false) onMistake(`${file}:1:1: ${found}`);
    }
    return files.sort();
  } catch (cause) {
    throw new TrustplaneError('ERR_USAGE', `${place}: ${messageOf(cause)}`, { cause });
  }
}

/** What others put into the directory names no file of whoever applies it. False: a link to a directory. */
async function isFileWithin(entry: Dirent, file: string, root: string): Promise<boolean> {
  if (entry.isFile()) return true;
  const target = await realpath(file);
  if (!target.startsWith(root.endsWith(path.sep) ? root : root + path.sep))
    throw notMeant(`leads to ${target}, outside of ${root}`);
  const found = await stat(target);
  if (!found.isFile() && !found.isDirectory()) throw notMeant('is no file');
  return found.isFile();
}

function notMeant(why: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', `${why}; if it is meant, name it by itself`);
}

function isDocument(name: string): boolean {
  return (
    /\.(?:ya?ml|json)$/u.test(name) && !name.split(path.sep).some((part) => part.startsWith('.'))
  );
}
