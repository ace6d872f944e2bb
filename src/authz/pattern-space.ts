import type { Pattern } from './pattern.ts';

/** Patterns with their literal segments at the same places. */
interface Shape {
  readonly id: number;
  /** Per segment before a final `**`: it is literal. */
  readonly literals: readonly boolean[];
  readonly isOpen: boolean;
}

const EXACT = 1;

/**
 * Hashes patterns by their literal segments, so that a value finds all patterns that may match it with
 * one hash per shape. There are few shapes, however many patterns there are.
 */
export class PatternSpace {
  readonly #shapes = new Map<string, Shape>();

  /** The hash under which values that match will look. */
  add(pattern: Pattern): number {
    if (pattern.isExact) return mix(EXACT, hashOf(pattern.text, 0, pattern.text.length));
    const segments = pattern.segments();
    const isOpen = segments.at(-1) === '**';
    const closed = isOpen ? segments.slice(0, -1) : segments;
    const literals = closed.map((segment) => !/[*{]/u.test(segment));
    const { id } = this.#shapeOf(literals, isOpen);
    return closed.reduce(
      (hash, segment, at) =>
        literals[at] === true ? mix(hash, hashOf(segment, 0, segment.length)) : hash,
      id,
    );
  }

  /** The hashes of all patterns that may match `value`, whose segments `/` divides. */
  probe(value: string): number[] {
    const hashes = [mix(EXACT, hashOf(value, 0, value.length))];
    if (this.#shapes.size === 0) return hashes;
    const segments = segmentHashes(value);
    for (const { id, literals, isOpen } of this.#shapes.values()) {
      const rest = segments.length - literals.length;
      if (rest < 0 || (rest > 0 && !isOpen)) continue;
      let hash = id;
      for (let at = 0; at < literals.length; at++)
        if (literals[at] === true) hash = mix(hash, segments[at] ?? 0);
      hashes.push(hash);
    }
    return hashes;
  }

  #shapeOf(literals: readonly boolean[], isOpen: boolean): Shape {
    const key = literals.map(Number).join('') + (isOpen ? '+' : '');
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    const shape = { id: EXACT + 1 + this.#shapes.size, literals, isOpen };
    this.#shapes.set(key, shape);
    return shape;
  }
}

/** Joins two hashes of 32 bits. */
export function mix(one: number, other: number): number {
  const joined = Math.imul(one ^ other, 0x9e3779b1) ^ Math.imul(one, 31);
  return (joined ^ (joined >>> 15)) >>> 0;
}

/** FNV-1a of the characters from `start` to `end`. */
export function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

function segmentHashes(value: string): number[] {
  const hashes: number[] = [];
  for (let start = 0; start <= value.length; ) {
    const slash = value.indexOf('/', start);
    const end = slash === -1 ? value.length : slash;
    hashes.push(hashOf(value, start, end));
    start = end + 1;
  }
  return hashes;
}
