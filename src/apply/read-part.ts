import { type LocatedYaml, parseStrictYaml } from '../ops/index.ts';
import { messageOf, parseJson } from '../spiffe/index.ts';
import { plainJson } from './plain-json.ts';
import type { DocumentPart } from './split-documents.ts';

/** What a document says, unjudged, or what is wrong with it; plain, so that it passes between threads. */
export type ReadPart =
  | { readonly line: number; readonly value: unknown }
  | { readonly complaint: string };

/** At the beginning of what may be JSON, which is read in a tenth of the time. */
const JSON_BEGINS = /^\s*(?=\{)/u;

export function readPart(part: DocumentPart): ReadPart {
  return readQuickly(part) ?? readYaml(part);
}

/** The document again, to tell where something in it stands. @throws TrustplaneError ERR_YAML */
export function locatePart({ text, file, firstLine }: DocumentPart): LocatedYaml {
  return parseStrictYaml(text, file, undefined, firstLine);
}

function readYaml(part: DocumentPart): ReadPart {
  try {
    const located = locatePart(part);
    return { line: located.position([]).line, value: located.value };
  } catch (error) {
    return { complaint: messageOf(error) };
  }
}

/** Undefined when it is not plain JSON: whatever is wrong with it is told as of YAML. */
function readQuickly({ text, firstLine }: DocumentPart): ReadPart | undefined {
  const [before] = JSON_BEGINS.exec(text) ?? [];
  if (before === undefined) return undefined;
  try {
    const value = plainJson(parseJson(text));
    return value && { line: firstLine + before.split('\n').length - 1, value };
  } catch {
    return undefined;
  }
}
