import { TrustplaneError } from '../spiffe/errors.ts';
import { quote } from '../spiffe/quote.ts';

/** What divides a value into segments; texts such as header values have one segment. */
export type Separator = '/' | '.' | '';

const CAPTURE = /^\{([a-z][a-zA-Z0-9_]{0,31})\}$/u;
const MAX_CHARACTERS = 2048;
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

/** One segment, with backtracking to the last star alone, which is enough. */
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
  let afterStar = -1;
  let retry = 0;
  while (valueAt < valueEnd) {
    const code = patternAt < patternEnd ? pattern.charCodeAt(patternAt) : -1;
    if (code === STAR) {
      afterStar = ++patternAt;
      retry = ++valueAt;
    } else if (code === value.charCodeAt(valueAt)) {
      patternAt++;
      valueAt++;
    } else if (afterStar < 0) {
      return false;
    } else {
      patternAt = afterStar;
      valueAt = ++retry;
    }
  }
  return patternAt === patternEnd;
}

/** The last `count` labels of a host; undefined if it has fewer. */
function lastSegments(value: string, count: number): string | undefined {
  const labels = value.split('.');
  return labels.length < count ? undefined : labels.slice(labels.length - count).join('.');
}
