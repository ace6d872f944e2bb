import type { Budget } from './budget.ts';
import type { Grammar } from './grammar.ts';
import { Lockstep } from './lockstep.ts';
import { globMachine, isAccepted } from './machine.ts';
import { take } from './take.ts';

/** The texts one segment can be: one, or all of a class of globs but some. */
export type SegmentLanguage =
  | { readonly word: string }
  | {
      readonly word: undefined;
      readonly grammar: Grammar;
      readonly globs: readonly string[];
      readonly vector: string;
      readonly excluded: ReadonlySet<string>;
    };

export interface SegmentClass {
  readonly language: SegmentLanguage;
  /** The shortest. */
  readonly word: string;
  /** Of the segments of patterns that were asked about, those that match. */
  readonly matched: readonly string[];
}

/** Divides what a segment can be into classes, each of which the same segments of patterns match. */
export class SegmentClasses {
  readonly #known = new Map<string, Lockstep>();
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  split(grammar: Grammar, segments: readonly string[]): SegmentClass[] {
    const wild = segments.filter(isAnySegment);
    const globs = segments.filter((one) => !isAnySegment(one) && one.includes('*')).sort();
    const literals = segments.filter((one) => one !== '' && !/[*{]/u.test(one));
    const machines = globs.map(globMachine);
    const words = literals.map((word): SegmentClass => {
      const isMatch = machines.map((one) => isAccepted(one, word));
      const matched = [word, ...wild, ...globs.filter((_, at) => isMatch[at])];
      return { language: { word }, word, matched };
    });
    this.#budget.spend(words.length * (1 + globs.length));
    return [...this.#others(grammar, globs, new Set(literals), wild), ...words];
  }

  /** The texts that are of every language, the shortest first. */
  *words(languages: readonly SegmentLanguage[]): Generator<string, void> {
    const word = languages.find((one) => one.word !== undefined)?.word;
    if (word !== undefined) {
      if (languages.every((one) => this.#has(one, word))) yield word;
      return;
    }
    const open = languages.filter((one) => one.word === undefined);
    const globs = open.flatMap((one) => one.globs);
    const found = this.#lockstep(new Set(open.map(({ grammar }) => grammar)), globs);
    for (const text of found.words(open.map(({ vector }) => vector).join('')))
      if (open.every(({ excluded }) => !excluded.has(text))) yield text;
  }

  #others(
    grammar: Grammar,
    globs: readonly string[],
    excluded: ReadonlySet<string>,
    wild: readonly string[],
  ): SegmentClass[] {
    return this.#lockstep(new Set([grammar]), globs)
      .classes()
      .flatMap((vector): SegmentClass[] => {
        const language = { word: undefined, grammar, globs, vector, excluded };
        const [word] = take(this.words([language]), 1);
        const matched = [...wild, ...globs.filter((_, at) => vector[at] === '1')];
        return word === undefined ? [] : [{ language, word, matched }];
      });
  }

  #has(language: SegmentLanguage, word: string): boolean {
    if (language.word !== undefined) return language.word === word;
    const { grammar, globs, vector, excluded } = language;
    if (excluded.has(word)) return false;
    const end = word
      .split('')
      .reduce(
        (state, char) =>
          state === -1 || !grammar.chars.includes(char) ? -1 : grammar.next(state, char),
        0,
      );
    if (end === -1 || !grammar.accepts(end)) return false;
    const machines = globs.map(globMachine);
    return machines.every((one, at) => isAccepted(one, word) === (vector[at] === '1'));
  }

  #lockstep(grammars: ReadonlySet<Grammar>, globs: readonly string[]): Lockstep {
    const key = [...[...grammars].map(({ name }) => name), '', ...globs].join('\n');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = new Lockstep([...grammars], globs.map(globMachine), this.#budget);
    this.#known.set(key, made);
    return made;
  }
}

/** Matches every segment that is not empty. */
function isAnySegment(segment: string): boolean {
  return segment === '*' || segment.startsWith('{');
}
