import type * as Yaml from 'yaml';
import { yaml } from '../ops/index.ts';

/** A line that is longer is divided. */
const MAX_COLUMN = 140;
/** Collections within collections on one line. */
const MAX_NESTING = 3;
const INDENT = 2;

/** Texts are not folded. */
const style = { lineWidth: 0, indent: INDENT } as const;

/** Members by names that the author chose, whose order is theirs too. */
const dictionaries = new Set(['sets', 'map', 'query', 'claims', 'headers']);
/** Each member begins a line, however short they are. */
const divided = new Set(['sets', 'rules', 'assert', 'tests']);
/** And so does each member of a member. */
const dividedTwice = new Set(['rules', 'assert']);

type Collection = Yaml.YAMLMap | Yaml.YAMLSeq;

/** Wherever two of these stand together, they stand in this order. */
const order: readonly string[] = `
  apiVersion kind metadata name owner version-note
  id as credential service mode stage percent promoteAfter decisions disagreements
  request path nonCanonical matrixParameters trailingSlash response status body
  sets rules assert never only tests
  from to until ids except anyTrustDomain credentials allow deny when
  grpc methods paths hosts host port query
  jwt issuer claims ip destinationIp source.ip destination.ip time at
  headers pattern values expect rule reason map log
`.split(/\s+/u);
const ranks: ReadonlyMap<string, number> = new Map(order.map((name, at) => [name, at]));

/** Writes a document anew: members in one order, on one line what fits there, with all comments. */
export function layOut(document: Yaml.Document): string {
  const { contents } = document;
  if (yaml().isMap(contents)) {
    const [first] = contents.items;
    sortMembers(contents, false);
    if (first !== undefined && first !== contents.items[0]) liftComment(document, first.key);
    contents.flow = false;
    arrangeMembers(contents, 0);
  }
  return document.toString(style);
}

/** What stands above the first member is above all of them, whichever is the first then. */
function liftComment(document: Yaml.Document, key: unknown): void {
  if (!yaml().isNode(key) || !key.commentBefore) return;
  document.commentBefore = [document.commentBefore, key.commentBefore].filter(Boolean).join('\n');
  key.commentBefore = null;
}

function sortMembers(node: unknown, isDictionary: boolean): void {
  if (yaml().isSeq(node)) for (const item of node.items) sortMembers(item, false);
  if (!yaml().isMap(node)) return;
  if (!isDictionary) node.items.sort((a, b) => rankOf(a) - rankOf(b));
  for (const { key, value } of node.items)
    sortMembers(value, !isDictionary && dictionaries.has(nameOf(key)));
}

function rankOf({ key }: Yaml.Pair): number {
  return ranks.get(nameOf(key)) ?? order.length;
}

/** `inline` and `below`: where it begins on the line of its key, and on lines of its own. */
function arrange(node: unknown, name: string, inline: number, below: number): void {
  if (!yaml().isCollection(node)) return;
  node.flow = !divided.has(name) && isShort(node, inline);
  if (node.flow) return flatten(node);
  if (yaml().isSeq(node)) return node.items.forEach((item) => arrangeItem(item, name, below + 2));
  if (yaml().isMap(node)) arrangeMembers(node, below);
}

function arrangeItem(item: unknown, listName: string, column: number): void {
  if (!dividedTwice.has(listName) || !yaml().isMap(item)) return arrange(item, '', column, column);
  item.flow = false;
  arrangeMembers(item, column);
}

function arrangeMembers({ items }: Yaml.YAMLMap, column: number): void {
  for (const { key, value } of items) {
    const name = nameOf(key);
    arrange(value, name, column + name.length + 2, column + INDENT);
  }
}

/** Whether it stands on one line, legibly and with no comment in it. */
function isShort(node: Collection, column: number): boolean {
  const mappings = node.items.filter((item) => yaml().isPair(item) && yaml().isMap(item.value));
  if (mappings.length > 1 || nestingOf(node) > MAX_NESTING || !isPlainToRead(node)) return false;
  const copy = node.clone();
  if (!yaml().isCollection(copy)) return false;
  copy.flow = true;
  copy.comment = null;
  copy.commentBefore = null;
  flatten(copy);
  const alone = new (yaml().Document)(copy);
  const text = alone.toString(style).trimEnd();
  return !text.includes('\n') && column + text.length <= MAX_COLUMN;
}

function nestingOf(node: unknown): number {
  if (yaml().isPair(node)) return nestingOf(node.value);
  if (!yaml().isCollection(node)) return 0;
  return 1 + Math.max(0, ...node.items.map(nestingOf));
}

/** Without comments, and without texts that need quotes between brackets and have none. */
function isPlainToRead(node: Collection): boolean {
  let isPlain = true;
  yaml().visit(node, {
    Node: (_, inner) => {
      if (inner !== node && (inner.comment || inner.commentBefore)) isPlain = false;
    },
    Scalar: (_, { value, type, comment, commentBefore }) => {
      const needsQuotes = type === 'PLAIN' && /[{}[\],]/u.test(String(value));
      if (comment || commentBefore || needsQuotes) isPlain = false;
    },
  });
  return isPlain;
}

/** Onto one line: lists as in `[a, b]`, mappings as in `{ a: b }`. */
function flatten(node: Collection): void {
  yaml().visit(node, {
    Scalar: (_, scalar) => void (scalar.spaceBefore = false),
    Collection: (_, inner) => {
      inner.flow = true;
      if (inner !== node) inner.spaceBefore = false;
      if (yaml().isSeq(inner)) pad(inner, '');
      else if (yaml().isMap(inner)) pad(inner, ' ');
    },
  });
}

function pad(node: Collection, flowCollectionPadding: string): void {
  const write = node.toString.bind(node);
  node.toString = (context, ...more) =>
    write(context && { ...context, flowCollectionPadding }, ...more);
}

function nameOf(key: unknown): string {
  return yaml().isScalar(key) ? String(key.value) : '';
}
