import { mix } from './hash-text.ts';
import { isHostShape, type Segments, valueHash } from './pattern-shape.ts';

/**
 * Numbers by patterns, one level below the other, in typed arrays: a node has children by patterns and
 * items. What is found may match, and is checked; what matches is found.
 */
export interface PatternTree {
  readonly seed: number;
  /** A hash table with open addressing, a power of two long: of a node and a hash, never 0, → child. */
  readonly keys: Uint32Array;
  readonly children: Uint32Array;
  /** Of each node the list of the shapes of its children, and of each list where its shapes begin. */
  readonly shapeLists: Uint32Array;
  readonly shapeStarts: Uint32Array;
  readonly shapes: Uint32Array;
  /** Of each node where its items begin. */
  readonly itemStarts: Uint32Array;
  readonly items: Uint32Array;
}

/** Adds the children of a node whose patterns may match; returns how many look-ups it took. */
export function collectChildren(
  tree: PatternTree,
  node: number,
  segments: Segments,
  labels: Segments,
  into: number[],
): number {
  const { seed, keys, children, shapeLists, shapeStarts, shapes } = tree;
  const list = shapeLists[node] ?? 0;
  const start = shapeStarts[list] ?? 0;
  const end = shapeStarts[list + 1] ?? 0;
  for (let at = start; at < end; at++) {
    const shape = shapes[at] ?? 0;
    const hash = valueHash(isHostShape(shape) ? labels : segments, shape);
    if (hash === undefined) continue;
    const key = childKey(seed, node, hash);
    const mask = keys.length - 1;
    for (let slot = slotOf(key, mask); keys[slot] !== 0; slot = (slot + 1) & mask)
      if (keys[slot] === key) {
        into.push(children[slot] ?? 0);
        break;
      }
  }
  return end - start;
}

export function collectItems(
  { itemStarts, items }: PatternTree,
  node: number,
  into: number[],
): void {
  const end = itemStarts[node + 1] ?? 0;
  for (let at = itemStarts[node] ?? 0; at < end; at++) into.push(items[at] ?? 0);
}

/** Two children that chance gives one key are one child, which has the items of both. */
export function childKey(seed: number, node: number, hash: number): number {
  const key = mix(mix(seed, node), hash);
  return key === 0 ? 1 : key;
}

export function slotOf(key: number, mask: number): number {
  return mix(key, 0x5bd1e995) & mask;
}
