import type { Pattern } from '../pattern.ts';

/** Of a segment of a SPIFFE ID or a path that was found to be valid: visible ASCII. */
const SEGMENT_STAR = '[!-.0-~]+';
const BELOW = '(?:/[!-~]*)?';
/** Of a claim, which is any text. */
const TEXT_STAR = '[\\s\\S]+';

export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/gu, '\\$&');
}

/** The parts of a regex for a pattern of SPIFFE IDs or paths, whose values are known to be valid. */
export function regexParts(pattern: Pattern): readonly string[] {
  return pattern
    .segments()
    .map((segment, at) =>
      segment === '**' ? BELOW : `${at === 0 ? '' : '/'}${globRegex(segment, SEGMENT_STAR)}`,
    );
}

/** A segment with stars, or one that is captured. */
export function globRegex(segment: string, star: string): string {
  if (segment.startsWith('{')) return star;
  return segment.split('*').map(escapeRegex).join(star);
}

/** The regex of a pattern for the text of a claim. */
export function textRegex({ text }: Pattern): string {
  return globRegex(text, TEXT_STAR);
}

/** One regex for several: what they begin with alike is written, and tried, once. */
export function joinRegexes(all: readonly (readonly string[])[]): string {
  const groups = new Map<string | undefined, (readonly string[])[]>();
  for (const parts of all) {
    const group = groups.get(parts[0]);
    if (group === undefined) groups.set(parts[0], [parts.slice(1)]);
    else group.push(parts.slice(1));
  }
  const alternatives = Array.from(groups, ([first, rests]) => {
    const [only, ...others] = rests;
    if (first === undefined || only === undefined) return '';
    return `${first}${others.length === 0 ? only.join('') : joinRegexes(rests)}`;
  });
  return alternatives.length === 1 ? alternatives.join('') : `(?:${alternatives.join('|')})`;
}
