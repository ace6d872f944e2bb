import type { Pattern } from './pattern.ts';
import {
  ANY,
  coarseShapeOf,
  patternHash,
  type Shape,
  shapeOf,
  textHash,
  WHOLE,
} from './pattern-shape.ts';
import { childKey, type PatternTree, slotOf } from './pattern-tree.ts';

/** Each shape is a look-up of each request: with more, patterns take the coarse ones, of which there are 9 for paths, and for hosts. */
const MAX_FINE_SHAPES = 16;
const EMPTY_LIST = 0;

/** Builds a tree; what was added in the same order is the same tree. */
export class PatternTreeBuilder {
  readonly #seed: number;
  readonly #children = new Map<number, number>();
  /** The list of shapes of each node; equal lists are one. */
  readonly #shapeLists: number[] = [];
  readonly #lists: Shape[][] = [[]];
  readonly #longerLists = new Map<string, number>();
  readonly #nodesOfItems: number[] = [];
  readonly #items: number[] = [];
  readonly #itemCounts: number[] = [];

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** A node that is nobody's child. */
  addRoot(): number {
    this.#itemCounts.push(0);
    return this.#shapeLists.push(EMPTY_LIST) - 1;
  }

  /** The child of a node by a pattern, or by anything and nothing. */
  child(node: number, pattern: Pattern | undefined): number {
    if (pattern === undefined) return this.#child(node, ANY, ANY);
    const shape = this.#shapeFor(node, pattern);
    return this.#child(node, shape, patternHash(pattern, shape));
  }

  /** The child by a text in which nothing is special. */
  exactChild(node: number, text: string): number {
    return this.#child(node, WHOLE, textHash(WHOLE, text));
  }

  /** Returns how many items the node has now. */
  addItem(node: number, item: number): number {
    this.#nodesOfItems.push(node);
    this.#items.push(item);
    const count = (this.#itemCounts[node] ?? 0) + 1;
    this.#itemCounts[node] = count;
    return count;
  }

  build(): PatternTree {
    const shapeStarts = new Uint32Array(this.#lists.length + 1);
    for (const [at, list] of this.#lists.entries())
      shapeStarts[at + 1] = (shapeStarts[at] ?? 0) + list.length;
    return {
      seed: this.#seed,
      ...buildTable(this.#children),
      shapeLists: Uint32Array.from(this.#shapeLists),
      shapeStarts,
      shapes: Uint32Array.from(this.#lists.flat()),
      ...groupItems(this.#nodesOfItems, this.#items, this.#shapeLists.length),
    };
  }

  #child(node: number, shape: Shape, hash: number): number {
    this.#addShape(node, shape);
    const key = childKey(this.#seed, node, hash);
    const known = this.#children.get(key);
    if (known !== undefined) return known;
    const child = this.addRoot();
    this.#children.set(key, child);
    return child;
  }

  #shapeFor(node: number, pattern: Pattern): Shape {
    const shape = shapeOf(pattern);
    const list = this.#listOf(node);
    const isFine = pattern.isExact || list.includes(shape) || list.length < MAX_FINE_SHAPES;
    return isFine ? shape : coarseShapeOf(pattern);
  }

  #addShape(node: number, shape: Shape): void {
    const list = this.#listOf(node);
    if (list.includes(shape)) return;
    const before = this.#shapeLists[node] ?? EMPTY_LIST;
    const step = `${before} ${shape}`;
    let after = this.#longerLists.get(step);
    if (after === undefined) {
      after = this.#lists.push([...list, shape]) - 1;
      this.#longerLists.set(step, after);
    }
    this.#shapeLists[node] = after;
  }

  #listOf(node: number): readonly Shape[] {
    return this.#lists[this.#shapeLists[node] ?? EMPTY_LIST] ?? [];
  }
}

/** At most half full. */
function buildTable(entries: ReadonlyMap<number, number>): Pick<PatternTree, 'keys' | 'children'> {
  const slots = 2 ** Math.ceil(Math.log2(entries.size * 2 + 2));
  const keys = new Uint32Array(slots);
  const children = new Uint32Array(slots);
  for (const [key, child] of entries) {
    let slot = slotOf(key, slots - 1);
    while (keys[slot] !== 0) slot = (slot + 1) & (slots - 1);
    keys[slot] = key;
    children[slot] = child;
  }
  return { keys, children };
}

function groupItems(
  nodes: readonly number[],
  items: readonly number[],
  count: number,
): Pick<PatternTree, 'itemStarts' | 'items'> {
  const itemStarts = new Uint32Array(count + 1);
  for (const node of nodes) itemStarts[node + 1] = (itemStarts[node + 1] ?? 0) + 1;
  for (let at = 0; at < count; at++)
    itemStarts[at + 1] = (itemStarts[at + 1] ?? 0) + (itemStarts[at] ?? 0);
  const next = itemStarts.slice();
  const grouped = new Uint32Array(items.length);
  for (const [at, node] of nodes.entries()) {
    const place = next[node] ?? 0;
    grouped[place] = items[at] ?? 0;
    next[node] = place + 1;
  }
  return { itemStarts, items: grouped };
}
