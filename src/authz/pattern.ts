import { TrustplaneError } from '../spiffe/errors.ts';
import { quote } from '../spiffe/quote.ts';

/** What divides a value into segments; texts such as header values have one segment. */
export type Separator = '/' | '.' | '';

const CAPTURE = /^\{([a-z][a-zA-Z0-9_]{0,31})\}$/u;
const MAX_CHARACTERS = 2048;
/** Of a piece that is looked for as texts are. */
const MAX_SHORT = 32;
const STAR = 42;
const BRACE = 123;

/**
 * A pattern: `*` is one or more characters without separator, `**` as the last segment (of hosts: the
 * first) zero or more segments, `{name}` one whole segment that is captured. All else is literal.
 */
export class Pattern {
  readonly text: string;
  readonly separator: Separator;
  /** Nothing in it is special. */
  readonly isExact: boolean;

  private constructor(text: string, separator: Separator) {
    this.text = text;
    this.separator = separator;
    this.isExact = !/[*{]/u.test(text);
  }

  /** @throws TrustplaneError ERR_POLICY_PATTERN */
  static parse(text: string, separator: Separator): Pattern {
    if (text === '') throw refused(text, 'is empty');
    if (text.length > MAX_CHARACTERS) throw refused(text, `has over ${MAX_CHARACTERS} characters`);
    const pattern = new Pattern(text, separator);
    if (!pattern.isExact || text.includes('}')) checkSegments(pattern);
    return pattern;
  }

  /** Of the text and the separator of a pattern, which were parsed before. */
  static restore(text: string, separator: Separator): Pattern {
    return new Pattern(text, separator);
  }

  matches(value: string): boolean {
    if (this.isExact) return this.text === value;
    if (this.separator !== '.' || !this.text.startsWith('**'))
      return matchSegments(this.text, value, this.separator);
    if (this.text === '**') return value !== '';
    const rest = this.text.slice(3);
    const end = lastSegments(value, rest.split('.').length);
    return end !== undefined && matchSegments(rest, end, '.');
  }

  segments(): string[] {
    return this.separator === '' ? [this.text] : this.text.split(this.separator);
  }

  get captureNames(): string[] {
    if (!this.text.includes('{')) return [];
    return this.segments().flatMap((segment) => CAPTURE.exec(segment)?.[1] ?? []);
  }

  /** What `{name}` stands for in a value that matches; undefined if one name is two things. */
  captures(value: string): ReadonlyMap<string, string> | undefined {
    const found = new Map<string, string>();
    const segments = this.segments();
    const values = this.separator === '' ? [value] : value.split(this.separator);
    const shift = segments[0] === '**' ? values.length - segments.length : 0;
    for (const [at, segment] of segments.entries()) {
      const name = CAPTURE.exec(segment)?.[1];
      if (name === undefined) continue;
      const part = values[at + shift] ?? '';
      if ((found.get(name) ?? part) !== part) return undefined;
      found.set(name, part);
    }
    return found;
  }
}

/** A value that the pattern matches. */
export function sampleOf(pattern: Pattern): string {
  const segments = pattern.segments();
  return segments
    .filter((segment) => segment !== '**')
    .map((segment) => segment.replace(/\{[^}]*\}|\*/gu, 'x'))
    .join(pattern.separator);
}

export function refused(text: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_POLICY_PATTERN', `the pattern ${quote(text)} ${why}`);
}

function checkSegments({ text, separator }: Pattern): void {
  const segments = separator === '' ? [text] : text.split(separator);
  const open = separator === '' ? -1 : separator === '.' ? 0 : segments.length - 1;
  for (const [at, segment] of segments.entries()) {
    if (segment === '**' && at === open) continue;
    if (segment.includes('**'))
      throw refused(
        text,
        `has "**" elsewhere than as the ${open === 0 ? 'first' : 'last'} segment`,
      );
    if (!/[{}]/u.test(segment)) continue;
    if (separator === '') throw refused(text, 'has a brace; nothing is captured here');
    if (!CAPTURE.test(segment)) throw refused(text, 'has braces that are not one whole {segment}');
  }
}

/** Walks both texts, without making others. */
function matchSegments(pattern: string, value: string, separator: Separator): boolean {
  let patternAt = 0;
  let valueAt = 0;
  for (;;) {
    const patternEnd = endOfSegment(pattern, patternAt, separator);
    const valueEnd = endOfSegment(value, valueAt, separator);
    if (isOpenEnd(pattern, patternAt, separator)) return true;
    if (!matchSegment(pattern, patternAt, patternEnd, value, valueAt, valueEnd)) return false;
    if (patternEnd === pattern.length) return valueEnd === value.length;
    if (valueEnd === value.length) return isOpenEnd(pattern, patternEnd + 1, separator);
    patternAt = patternEnd + 1;
    valueAt = valueEnd + 1;
  }
}

function isOpenEnd(pattern: string, at: number, separator: Separator): boolean {
  return separator === '/' && at + 2 === pattern.length && pattern.endsWith('**');
}

function endOfSegment(text: string, from: number, separator: Separator): number {
  const at = separator === '' ? -1 : text.indexOf(separator, from);
  return at === -1 ? text.length : at;
}

/** One segment: text up to the first star is compared character by character. */
function matchSegment(
  pattern: string,
  patternStart: number,
  patternEnd: number,
  value: string,
  valueStart: number,
  valueEnd: number,
): boolean {
  let patternAt = patternStart;
  let valueAt = valueStart;
  if (pattern.charCodeAt(patternAt) === BRACE) return valueEnd > valueAt;
  for (; patternAt < patternEnd; patternAt++, valueAt++) {
    const code = pattern.charCodeAt(patternAt);
    if (code === STAR)
      return matchStars(pattern, patternAt + 1, patternEnd, value, valueAt, valueEnd);
    if (valueAt === valueEnd || code !== value.charCodeAt(valueAt)) return false;
  }
  return valueAt === valueEnd;
}

/**
 * What follows a star, whose character is the one at `valueAt`: each piece between stars is taken where it
 * comes first, which is enough, so that the value is read once.
 */
function matchStars(
  pattern: string,
  patternStart: number,
  patternEnd: number,
  value: string,
  valueStart: number,
  valueEnd: number,
): boolean {
  let patternAt = patternStart;
  let valueAt = valueStart;
  for (;;) {
    const star = pattern.indexOf('*', patternAt);
    if (star === -1 || star >= patternEnd) {
      const piece = pattern.slice(patternAt, patternEnd);
      const at = valueEnd - piece.length;
      return at > valueAt && value.startsWith(piece, at);
    }
    const piece = pattern.slice(patternAt, star);
    const at = placeOf(piece, value, valueAt + 1, valueEnd);
    if (at === -1 || at + piece.length > valueEnd) return false;
    valueAt = at + piece.length;
    patternAt = star + 1;
  }
}

/** Where a piece is first, from `start` on; -1 or beyond `end` if nowhere. Long ones take no longer (Knuth, Morris, Pratt 1977). */
function placeOf(piece: string, value: string, start: number, end: number): number {
  if (piece.length <= MAX_SHORT) return value.indexOf(piece, start);
  const borders = bordersOf(piece);
  for (let at = start, same = 0; at < end; at++) {
    const code = value.charCodeAt(at);
    while (same > 0 && piece.charCodeAt(same) !== code) same = borders[same - 1] ?? 0;
    if (piece.charCodeAt(same) === code) same++;
    if (same === piece.length) return at + 1 - same;
  }
  return -1;
}

/** Of each beginning of a piece how long the longest other beginning is that it ends with. */
function bordersOf(piece: string): Uint16Array {
  const borders = new Uint16Array(piece.length);
  for (let at = 1, same = 0; at < piece.length; at++) {
    const code = piece.charCodeAt(at);
    while (same > 0 && piece.charCodeAt(same) !== code) same = borders[same - 1] ?? 0;
    if (piece.charCodeAt(same) === code) same++;
    borders[at] = same;
  }
  return borders;
}

/** The last `count` labels of a host; undefined if it has fewer. */
function lastSegments(value: string, count: number): string | undefined {
  let start = value.length + 1;
  for (let left = count; left > 0; left--) {
    if (start === 0) return undefined;
    start = start === 1 ? 0 : value.lastIndexOf('.', start - 2) + 1;
  }
  return value.slice(start);
}
