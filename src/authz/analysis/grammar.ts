/** Which texts can be sent at a place; an automaton, so that a class without a sendable text is none. */
export interface Grammar {
  readonly name: string;
  /** Whatever can occur, what reads best first. */
  readonly chars: readonly string[];
  /** Of them those that `next` treats in a way of their own. */
  readonly special: string;
  /** The state after a character; -1: no text goes on like that. The first state is 0. */
  next(state: number, char: string): number;
  accepts(state: number): boolean;
}

const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
const UNRESERVED = `${LOWER}${DIGITS}-_${LOWER.toUpperCase()}.~`;
/** States of a segment that is not `.` and not `..`. */
const [START, DOT, DOTS, PLAIN, PERCENT, HEX] = [0, 1, 2, 3, 4, 5];

const oneOrMore = (name: string, chars: string): Grammar => ({
  name,
  chars: chars.split(''),
  special: '',
  next: () => PLAIN,
  accepts: (state) => state === PLAIN,
});

export const trustDomainName: Grammar = oneOrMore('trust domain', `${LOWER}${DIGITS}-_.`);
export const hostLabel: Grammar = oneOrMore('host', `${LOWER}${DIGITS}-_`);

function afterDots(state: number, char: string): number {
  if (char !== '.') return PLAIN;
  return state === START ? DOT : state === DOT ? DOTS : PLAIN;
}

const isWhole = (state: number): boolean => state === PLAIN;

export const idSegment: Grammar = {
  name: 'id',
  chars: UNRESERVED.split('').filter((char) => char !== '~'),
  special: '.',
  next: afterDots,
  accepts: isWhole,
};

/** Of a canonical path; see `isCanonicalPath`. */
function pathSegmentGrammar(allowMatrixParameters: boolean): Grammar {
  const more = `!$&'()*+,:=@"<>[]^\`{|}%${allowMatrixParameters ? ';' : ''}`;
  return {
    name: allowMatrixParameters ? 'path with parameters' : 'path',
    chars: `${UNRESERVED}${more}`.split(''),
    special: `.%;${DIGITS}abcdefABCDEF`,
    next: (state, char) => {
      if (state === PERCENT) return firstHex(char);
      if (state >= HEX) return isPlainEscape(state - HEX, char) ? PLAIN : -1;
      if (char === '%') return PERCENT;
      if (char === ';' && (state === START || state === DOT || state === DOTS)) return -1;
      return afterDots(state, char);
    },
    accepts: isWhole,
  };
}

export const pathSegment: Grammar = pathSegmentGrammar(false);
export const pathSegmentWithParameters: Grammar = pathSegmentGrammar(true);

function firstHex(char: string): number {
  const high = Number.parseInt(char, 16);
  return Number.isNaN(high) || high > 15 ? -1 : HEX + high;
}

function isPlainEscape(high: number, char: string): boolean {
  const low = Number.parseInt(char, 16);
  if (Number.isNaN(low)) return false;
  const code = high * 16 + low;
  return (
    code !== 0 && code !== 0x2f && code !== 0x5c && !UNRESERVED.includes(String.fromCharCode(code))
  );
}

/** A line of a header, a claim or a value of the query: visible ASCII, spaces inside; or nothing. */
export const plainText: Grammar = {
  name: 'text',
  chars: `${UNRESERVED}!#$%&'()*+,/:;<=>?@[\\]^\`{|}" `.split(''),
  special: ' ',
  next: (state, char) => (char === ' ' ? (state === START ? -1 : DOT) : PLAIN),
  accepts: (state) => state === START || state === PLAIN,
};
