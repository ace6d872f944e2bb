import { entriesOf, isList, Noted, Shared, type Tree, type TreeMap } from './commented-tree.ts';

const COLUMNS = 100;
const LEAST_COMMENT_COLUMNS = 40;
/** What fits into a line and has no more keys than this stands in braces. */
const MAX_KEYS_IN_LINE = 3;
const PLAIN_KEY = /^[A-Za-z_][\w.]*$/u;
/** Texts that are texts to every reader of YAML without quotes; all others get them. */
const PLAIN_TEXT = /^(?:[A-Za-z_/][\w./-]*|\d+(?:\.\d+)?s|\d+\.\d+\.\d+\.\d+)$/u;
const NO_TEXT = /^(?:true|false|yes|no|on|off|y|n|null|nan|inf)$/iu;

/** The configuration as YAML, its comments wrapped to 100 columns. */
export function printTree(tree: TreeMap): string {
  return `${linesOf(tree, 0, new Set()).join('\n')}\n`;
}

function linesOf(tree: Tree, indent: number, said: Set<string>): string[] {
  const pad = ' '.repeat(indent);
  if (isList(tree)) return tree.flatMap((item) => itemLines(item, indent, said));
  if (tree instanceof Noted || tree instanceof Shared || typeof tree !== 'object')
    throw new TypeError('only maps and lists have lines of their own');
  return entriesOf(tree).flatMap(([key, value], index) => {
    const gap = indent === 0 && index > 0 ? [''] : [];
    return [...gap, ...keyLines(`${pad}${keyText(key)}:`, value, indent, said)];
  });
}

function keyLines(head: string, value: Tree, indent: number, said: Set<string>): string[] {
  if (value instanceof Noted)
    return [...commentLines(value.text, indent), ...keyLines(head, value.value, indent, said)];
  if (value instanceof Shared) {
    if (said.has(value.anchor)) return [`${head} *${value.anchor}`];
    said.add(value.anchor);
    const comment = commentLines(value.text, indent);
    return [...comment, `${head} &${value.anchor}`, ...linesOf(value.value, indent + 2, said)];
  }
  const inLine = lineText(value);
  if (inLine !== undefined && (typeof value !== 'object' || fits(`${head} ${inLine}`)))
    return [`${head} ${inLine}`];
  return [head, ...linesOf(value, indent + 2, said)];
}

/** A dash, and the item behind it. */
function itemLines(item: Tree, indent: number, said: Set<string>): string[] {
  if (item instanceof Noted)
    return [...commentLines(item.text, indent), ...itemLines(item.value, indent, said)];
  const pad = ' '.repeat(indent);
  const inLine = lineText(item);
  if (inLine !== undefined && fits(`${pad}- ${inLine}`)) return [`${pad}- ${inLine}`];
  const lines = linesOf(item, indent + 2, said);
  const first = lines.findIndex((line) => !line.trimStart().startsWith('#'));
  const comments = lines.slice(0, first).map((line) => line.slice(2));
  return [...comments, `${pad}- ${lines[first]?.trimStart()}`, ...lines.slice(first + 1)];
}

/** In one line; undefined where it should have several. */
function lineText(tree: Tree): string | undefined {
  if (tree instanceof Noted || tree instanceof Shared) return undefined;
  if (typeof tree === 'string')
    return PLAIN_TEXT.test(tree) && !NO_TEXT.test(tree) ? tree : JSON.stringify(tree);
  if (typeof tree !== 'object') return String(tree);
  if (isList(tree)) {
    const items = tree.map((item) => (typeof item === 'object' ? undefined : lineText(item)));
    return items.includes(undefined) ? undefined : `[${items.join(', ')}]`;
  }
  const entries = entriesOf(tree);
  if (entries.length === 0) return '{}';
  if (entries.length > MAX_KEYS_IN_LINE || '@type' in tree) return undefined;
  const texts = entries.map(([key, value]) => {
    const text = lineText(value);
    return text === undefined ? undefined : `${keyText(key)}: ${text}`;
  });
  return texts.includes(undefined) ? undefined : `{ ${texts.join(', ')} }`;
}

function keyText(key: string): string {
  return PLAIN_KEY.test(key) && !NO_TEXT.test(key) ? key : JSON.stringify(key);
}

function fits(line: string): boolean {
  return line.length <= COLUMNS;
}

/** Lines of a comment; an empty one separates paragraphs. */
export function commentLines(text: string, indent: number): string[] {
  const pad = `${' '.repeat(indent)}#`;
  const width = Math.max(LEAST_COMMENT_COLUMNS, COLUMNS - pad.length - 1);
  return text
    .split('\n')
    .flatMap((line) => wrap(line, width))
    .map((line) => `${pad} ${line}`.trimEnd());
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
