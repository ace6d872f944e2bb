import { hashOf, mix } from './hash-text.ts';
import type { Pattern } from './pattern.ts';

/**
 * Which segments of a pattern are literal, as 32 bits: a mask of the literal ones, how many segments there
 * are before a final `**`, whether there is that `**`, whether it is of hosts. Patterns of one shape are
 * found with one hash, that of the segments of a value which the shape calls literal.
 */
export type Shape = number;

const MAX_SEGMENTS = 24;
const LENGTH_SHIFT = 24;
const LENGTH_MASK = 31;
const OPEN = 1 << 29;
const HOST = 1 << 30;
const MAX_LEADING = 8;
/** Patterns have no more characters. */
const MAX_WHOLE = 2048;

/** The shape of what is found by its whole text. */
export const WHOLE: Shape = LENGTH_MASK << LENGTH_SHIFT;

/** The shape under which everything is found, also what has no value. */
export const ANY: Shape = OPEN;

/** The hashes of a value's segments, of a host its labels from the last; none for what has no value. */
export interface Segments {
  /** At most one more than any shape looks at. */
  readonly hashes: readonly number[];
  readonly whole: number;
}

export const noSegments: Segments = { hashes: [], whole: 0 };

export function isHostShape(shape: Shape): boolean {
  return (shape & HOST) !== 0;
}

/** The shape of a pattern of SPIFFE IDs, paths or hosts. */
export function shapeOf(pattern: Pattern): Shape {
  const host = pattern.separator === '.' ? HOST : 0;
  if (pattern.isExact) return WHOLE | host;
  const { closed, isOpen } = closedSegments(pattern);
  const seen = closed.slice(0, MAX_SEGMENTS);
  const mask = seen.reduce(
    (bits, segment, at) => (isLiteral(segment) ? bits | (1 << at) : bits),
    0,
  );
  const open = isOpen || seen.length < closed.length ? OPEN : 0;
  return mask | (seen.length << LENGTH_SHIFT) | open | host;
}

/** One of the few shapes that know the first segments alone: it finds more than the pattern's own. */
export function coarseShapeOf(pattern: Pattern): Shape {
  const host = pattern.separator === '.' ? HOST : 0;
  const { closed } = closedSegments(pattern);
  const special = closed.findIndex((segment) => !isLiteral(segment));
  const leading = Math.min(special === -1 ? closed.length : special, MAX_LEADING);
  return ((1 << leading) - 1) | (leading << LENGTH_SHIFT) | OPEN | host;
}

/** The hash under which a pattern stands that has the shape, or a narrower one. */
export function patternHash(pattern: Pattern, shape: Shape): number {
  if ((shape & WHOLE) === WHOLE) return textHash(shape, pattern.text);
  const { closed } = closedSegments(pattern);
  return literalHash(
    shape,
    closed.map((segment) => hashOf(segment, 0, segment.length)),
  );
}

export function textHash(shape: Shape, text: string): number {
  return mix(shape, hashOf(text, 0, text.length));
}

/** The hash under which a value's patterns of a shape stand; undefined if it has none. */
export function valueHash({ hashes, whole }: Segments, shape: Shape): number | undefined {
  if ((shape & WHOLE) === WHOLE) return hashes.length === 0 ? undefined : mix(shape, whole);
  const more = hashes.length - ((shape >>> LENGTH_SHIFT) & LENGTH_MASK);
  return more === 0 || (more > 0 && (shape & OPEN) !== 0) ? literalHash(shape, hashes) : undefined;
}

/** Of a SPIFFE ID or a path. */
export function segmentsOf(value: string): Segments {
  const hashes: number[] = [];
  for (let start = 0; start <= value.length && hashes.length <= MAX_SEGMENTS; ) {
    const slash = value.indexOf('/', start);
    const end = slash === -1 ? value.length : slash;
    hashes.push(hashOf(value, start, end));
    start = end + 1;
  }
  return { hashes, whole: wholeHash(value) };
}

export function labelsOf(host: string): Segments {
  const hashes: number[] = [];
  for (let end = host.length; end >= 0 && hashes.length <= MAX_SEGMENTS; ) {
    const dot = end === 0 ? -1 : host.lastIndexOf('.', end - 1);
    hashes.push(hashOf(host, dot + 1, end));
    end = dot;
  }
  return { hashes, whole: wholeHash(host) };
}

/** Of what is found by its whole text alone. */
export function wholeText(text: string): Segments {
  return { hashes: [0], whole: wholeHash(text) };
}

function wholeHash(value: string): number {
  return value.length > MAX_WHOLE ? 0 : hashOf(value, 0, value.length);
}

function literalHash(shape: Shape, hashes: readonly number[]): number {
  let hash = shape;
  for (let at = 0, rest = shape & ((1 << MAX_SEGMENTS) - 1); rest !== 0; at++, rest >>>= 1)
    if ((rest & 1) === 1) hash = mix(hash, hashes[at] ?? 0);
  return hash;
}

/** The segments but for an open end, hosts from the last. */
function closedSegments(pattern: Pattern): { closed: readonly string[]; isOpen: boolean } {
  const segments = pattern.separator === '.' ? pattern.segments().reverse() : pattern.segments();
  const isOpen = segments.at(-1) === '**';
  return { closed: isOpen ? segments.slice(0, -1) : segments, isOpen };
}

function isLiteral(segment: string): boolean {
  return !/[*{]/u.test(segment);
}
