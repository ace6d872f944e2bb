/** A file with documents: YAML, or JSON, which is YAML too. */
export interface DocumentText {
  readonly name: string;
  readonly text: string;
}

/** One document of a YAML text. */
export interface DocumentPart {
  readonly file: string;
  readonly text: string;
  /** Of the text it is a part of, from 1. */
  readonly firstLine: number;
}

/** `---` and `...` at the beginning of a line divide documents wherever they stand (YAML 1.2 §9.1.2, c-forbidden). */
const DIVIDER = /^(?:---|\.\.\.)(?=[ \t\r\n]|$)/gmu;
/** Not only white space and comments. */
const CONTENT = /^(?!---[ \t]*$|\.\.\.[ \t]*$)[ \t]*[^#\s]/mu;

/** The documents of a YAML text one by one, so that a mistake in one does not hide the others'; empty ones are left out. */
export function* splitDocuments({ name: file, text }: DocumentText): Generator<DocumentPart> {
  let [from, line] = [0, 1];
  for (const end of [...dividers(text), text.length]) {
    const part = text.slice(from, end);
    if (CONTENT.test(part)) yield { file, text: part, firstLine: line };
    line += countLines(part);
    from = end;
  }
}

function* dividers(text: string): Generator<number> {
  for (const { index } of text.matchAll(DIVIDER)) if (index > 0) yield index;
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++;
  return count;
}
