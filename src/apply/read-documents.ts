import { type LocatedYaml, parseStrictYaml } from '../ops/index.ts';
import { messageOf } from '../spiffe/index.ts';
import { splitDocuments } from './split-documents.ts';

/** One document of a file, unjudged. */
export interface RawDocument {
  /** Where it stands, as `file:line`. */
  readonly source: string;
  readonly value: object | undefined;
  /** For mistakes: it may have to be read again for it. */
  locate(): LocatedYaml;
}

/** Each document of a text, or what is wrong with it. */
export function* readDocuments(
  file: string,
  text: string,
): Generator<RawDocument | { readonly complaint: string }> {
  for (const part of splitDocuments(text)) {
    try {
      yield locatedDocument(part.text, file, part.firstLine);
    } catch (error) {
      yield { complaint: messageOf(error) };
    }
  }
}

function locatedDocument(text: string, file: string, firstLine: number): RawDocument {
  const located = parseStrictYaml(text, file, undefined, firstLine);
  const { line } = located.position([]);
  return {
    source: `${file}:${line}`,
    value: isMapping(located.value) ? located.value : undefined,
    locate: () => located,
  };
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
