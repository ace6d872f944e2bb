import {
  addMember,
  FlowReader,
  keyAt,
  MAX_PLAIN_DEPTH,
  type Members,
  matchAt,
  NotPlain,
  plainValue,
} from './plain-flow.ts';

/** Other characters may be breaks, spaces, marks of order or the library's own. */
const OTHER = /[^\x20-\x7e\n\u00a1-\u167f\u2010-\u2027]/u;
const REST = /(?: +#.*| *)$/y;

interface Line {
  readonly indent: number;
  /** Without spaces around it; never empty, never a comment. */
  readonly text: string;
}

/**
 * The value of a YAML 1.2 document that is plainly written, many times faster than a parser of all of
 * YAML: mappings, lists and texts on one line each. Undefined for whatever else, also where it is wrong:
 * a parser of all of it is then to be asked.
 */
export function readPlainYaml(text: string): { readonly value: unknown } | undefined {
  if (OTHER.test(text)) return undefined;
  try {
    return { value: text.startsWith('{') ? readFlow(text) : readBlock(text) };
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

/** All of it in brackets, as JSON is. */
function readFlow(text: string): unknown {
  const flow = new FlowReader(text, 0, /[ \n]*/y);
  const value = flow.value(0);
  flow.skip();
  if (flow.at !== text.length) throw new NotPlain();
  return value;
}

function readBlock(text: string): unknown {
  const lines: Line[] = [];
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed !== '' && !trimmed.startsWith('#'))
      lines.push({ indent: line.search(/[^ ]/u), text: trimmed });
  }
  if (lines[0]?.indent !== 0 || lines[0].text.startsWith('-')) throw new NotPlain();
  const block = new BlockReader(lines);
  const value = block.mapping(0, 0);
  if (block.next !== undefined) throw new NotPlain();
  return value;
}

/** A line that is indented as nothing around it is left over. */
class BlockReader {
  readonly #lines: Line[];
  #at = 0;

  constructor(lines: Line[]) {
    this.#lines = lines;
  }

  get next(): Line | undefined {
    return this.#lines[this.#at];
  }

  mapping(indent: number, depth: number): Members {
    const members: Members = {};
    for (let line = this.next; line?.indent === indent; line = this.next) {
      if (isItem(line)) break;
      const key = keyAt(line.text, 0);
      if (key === undefined) throw new NotPlain();
      this.#at++;
      addMember(members, key.name, this.#afterKey(line, key.end, depth));
    }
    return members;
  }

  #afterKey({ indent, text }: Line, at: number, depth: number): unknown {
    if (!isRest(text, at)) {
      if (text[at] !== ' ') throw new NotPlain();
      return inlineValue(text, skipSpaces(text, at), depth);
    }
    const { next } = this;
    if (next === undefined || next.indent < indent) throw new NotPlain();
    if (isItem(next)) return this.#list(next.indent, depth + 1);
    if (next.indent === indent) throw new NotPlain();
    return this.#nested(next.indent, depth + 1);
  }

  #nested(indent: number, depth: number): Members {
    if (depth > MAX_PLAIN_DEPTH) throw new NotPlain();
    return this.mapping(indent, depth);
  }

  #list(indent: number, depth: number): unknown[] {
    if (depth > MAX_PLAIN_DEPTH) throw new NotPlain();
    const items: unknown[] = [];
    for (let line = this.next; line?.indent === indent && isItem(line); line = this.next)
      items.push(this.#item(line, depth));
    return items;
  }

  #item({ indent, text }: Line, depth: number): unknown {
    const at = skipSpaces(text, 1);
    const key = keyAt(text, at);
    const isMapping = key !== undefined && (text[key.end] === ' ' || key.end === text.length);
    if (isMapping) {
      this.#lines[this.#at] = { indent: indent + at, text: text.slice(at) };
      return this.#nested(indent + at, depth + 1);
    }
    this.#at++;
    return inlineValue(text, at, depth);
  }
}

function inlineValue(line: string, at: number, depth: number): unknown {
  const first = line[at];
  if (first !== undefined && '{["\''.includes(first)) {
    const flow = new FlowReader(line, at, / */y);
    const value = flow.value(depth);
    if (!isRest(line, flow.at)) throw new NotPlain();
    return value;
  }
  const comment = line.indexOf(' #', at);
  const text = (comment === -1 ? line.slice(at) : line.slice(at, comment)).trimEnd();
  if (/: |:$/u.test(text)) throw new NotPlain();
  return plainValue(text);
}

function isItem({ text }: Line): boolean {
  return text.startsWith('- ');
}

function isRest(text: string, at: number): boolean {
  return matchAt(REST, text, at).match !== null;
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ') at++;
  return at;
}
