import { isCanonicalPath } from '../canonical-request.ts';

const NIBBLES = '0123456789abcdef'.split('');

/** A segment of a SPIFFE ID, which is neither `.` nor `..`. */
const ID_SEGMENT =
  '(?:[A-Za-z0-9_-][A-Za-z0-9._-]*|\\.[A-Za-z0-9_-][A-Za-z0-9._-]*|\\.\\.[A-Za-z0-9._-]+)';

/** What stands behind the name of a trust domain, or behind another segment. */
export const idBelow: string = `(?:/${ID_SEGMENT})+`;
/** IDs of workloads, as SpiffeId.parse takes them; two in one, divided by a comma, are none. */
export const validId: string = `spiffe://[a-z0-9._-]{1,255}${idBelow}`;
/** More than 2,048 characters. */
export const overlongId: string = longerThan(2_048);
/** More than 8,192 characters. */
export const overlongPath: string = longerThan(8_192);
/** Anything at all, so that what is missing is told from what is wrong. */
export const anyText: string = '[\\s\\S]*';

/** Paths that isCanonicalPath takes, but for their length: RE2 has no way to say what a path must not have. */
export function canonicalPath(allowMatrixParameters: boolean): string {
  const escape = `%(?:${escapes().join('|')})`;
  // Visible ASCII without # % / \ ? ; and without the dot where that counts.
  const letter = `[!"$&-.0-:<->@-[\\]-~]`;
  const noDot = `[!"$&--0-:<->@-[\\]-~]`;
  const any = `(?:${letter}|${escape})`;
  const other = `(?:${noDot}|${escape})`;
  const name = `(?:${other}${any}*|\\.${other}${any}*|\\.\\.${any}+)`;
  const segment = allowMatrixParameters ? `${name}(?:;(?:${any}|;)*)?` : name;
  return `(?:/|(?:/${segment})+/?)`;
}

/** What may stand behind `%`: first digits and, for all of them, second ones. */
function escapes(): string[] {
  const seconds = NIBBLES.map((first) =>
    NIBBLES.filter((digit) => isCanonicalPath(`/%${first}${digit}`, false)).join(''),
  );
  const groups = Map.groupBy(NIBBLES, (_, at) => seconds[at]);
  return Array.from(
    groups,
    ([second, firsts]) => `${digitsOf(firsts)}${digitsOf(second?.split('') ?? [])}`,
  );
}

/** Digits in either case. */
function digitsOf(digits: readonly string[]): string {
  const all = new Set(digits.flatMap((digit) => [digit, digit.toUpperCase()]));
  return all.size === 1 ? [...all].join('') : `[${[...all].join('')}]`;
}

/** RE2 repeats nothing more than 1,000 times. */
function longerThan(count: number): string {
  const least = count + 1;
  const whole = '[!-~]{1000}'.repeat(Math.floor(least / 1_000));
  return `${whole}[!-~]{${least % 1_000}}[!-~]*`;
}

/** A host as it is sent: in any case, with a port and a final dot. An empty one is none. */
export const canonicalHost: string =
  '(?:(?:[A-Za-z0-9_-]+(?:\\.[A-Za-z0-9_-]+)*|\\[[0-9A-Fa-f:.]+\\])\\.?(?::[0-9]*)?)?';
