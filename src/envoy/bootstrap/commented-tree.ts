/** A configuration as it is built: plain values, comments, and parts that are said once. */
export type Tree = string | number | boolean | readonly Tree[] | TreeMap | Noted | Shared;

/** Keys whose value is undefined are left out. */
export interface TreeMap {
  readonly [key: string]: Tree | undefined;
}

/** A value with a comment before its key or its dash. */
export class Noted {
  readonly text: string;
  readonly value: Tree;

  constructor(text: string, value: Tree) {
    this.text = text;
    this.value = value;
  }
}

/** A value that is written, with a comment, where it first comes, and named by an anchor where it comes again. */
export class Shared {
  readonly anchor: string;
  readonly text: string;
  readonly value: Tree;

  constructor(anchor: string, text: string, value: Tree) {
    this.anchor = anchor;
    this.text = text;
    this.value = value;
  }
}

export function note(text: string, value: Tree): Noted {
  return new Noted(text, value);
}

/** The configuration without comments, each shared part as often as it is used. */
export function plainTree(tree: Tree): unknown {
  if (tree instanceof Noted || tree instanceof Shared) return plainTree(tree.value);
  if (typeof tree !== 'object') return tree;
  if (isList(tree)) return tree.map(plainTree);
  return Object.fromEntries(entriesOf(tree).map(([key, value]) => [key, plainTree(value)]));
}

export function isList(tree: Tree): tree is readonly Tree[] {
  return Array.isArray(tree);
}

export function entriesOf(map: TreeMap): [string, Tree][] {
  return Object.entries(map).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]));
}
