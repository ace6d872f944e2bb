import type { Pattern } from '../pattern.ts';
import { escapeRegex, joinRegexes } from './pattern-regex.ts';

const STAR = '[A-Za-z0-9_-]+';
const LABELS = `(?:${STAR}\\.)*`;
const ADDRESS = '\\[[0-9A-Fa-f:]+\\]';
/** What is no part of a host, in the end. */
const END = '\\.?(?::[0-9]*)?';

/**
 * A regex for hosts that are known to be canonical, as they were sent. What a pattern with several stars makes of
 * an IPv6 address in brackets is left open: `isWide` takes all of them, else none.
 */
export function hostRegex(patterns: readonly Pattern[], isWide: boolean): string {
  const all = patterns.flatMap((pattern) => [
    ...labelsOf(pattern),
    ...(isWide && mayBeAddress(pattern) ? ['\\[[0-9A-Fa-f:.]+\\]'] : []),
  ]);
  return `${joinRegexes(all.map((one) => [one]))}${END}`;
}

/** True if it is not left open what the patterns match. */
export function isWholeHostRegex(patterns: readonly Pattern[]): boolean {
  return !patterns.some(mayBeAddress);
}

function labelsOf(pattern: Pattern): string[] {
  if (pattern.text === '**') return [`${LABELS}${STAR}`, '\\[[0-9A-Fa-f:.]+\\]'];
  const labels = pattern.segments();
  if (labels.length === 1 && (labels[0] === '*' || labels[0]?.startsWith('{') === true))
    return [STAR, ADDRESS];
  const isOpen = labels[0] === '**';
  const closed = (isOpen ? labels.slice(1) : labels).map(labelRegex).join('\\.');
  return [`${isOpen ? LABELS : ''}${closed}`];
}

/** An address begins and ends with brackets, which no pattern has. */
function mayBeAddress({ text }: Pattern): boolean {
  if (text === '**' || text === '*' || /^\{[^}]*\}$/u.test(text)) return false;
  return /^[*{]/u.test(text) && /[*}]$/u.test(text);
}

function labelRegex(label: string): string {
  if (label.startsWith('{')) return STAR;
  return label.split('*').map(inAnyCase).join(STAR);
}

/** ASCII letters in either case, and no others: with (?i) U+212A is a k. */
export function inAnyCase(text: string): string {
  return escapeRegex(text).replace(
    /[A-Za-z]/gu,
    (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`,
  );
}
