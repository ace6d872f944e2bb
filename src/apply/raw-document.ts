import type { LocatedYaml } from '../ops/index.ts';
import { locatePart, type ReadPart } from './read-part.ts';
import type { DocumentPart } from './split-documents.ts';

/** One document of a file, unjudged. */
export interface RawDocument {
  /** Where it stands, as `file:line`. */
  readonly source: string;
  readonly value: object | undefined;
  /** For mistakes: it is read again for the first. */
  locate(): LocatedYaml;
}

export function rawDocument(
  part: DocumentPart,
  { line, value }: Exclude<ReadPart, { readonly complaint: string }>,
): RawDocument {
  let located: LocatedYaml | undefined;
  return {
    source: `${part.file}:${line}`,
    value: isMapping(value) ? value : undefined,
    locate() {
      located ??= locatePart(part);
      return located;
    },
  };
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
