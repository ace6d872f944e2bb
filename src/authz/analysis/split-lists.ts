import type { Branch, ListTest } from './branch.ts';
import type { Budget } from './budget.ts';
import type { Choice } from './choice.ts';
import type { Draft } from './draft.ts';
import { type Grammar, plainText } from './grammar.ts';
import { Lockstep } from './lockstep.ts';
import type { Machine } from './machine.ts';
import { take } from './take.ts';

/** What came: nothing, a text, or several. */
interface Outcome {
  readonly values: readonly string[];
  readonly isList: boolean;
  /** Per test, whether it holds. */
  readonly holds: readonly boolean[];
}

/** The classes of the lines of a header, of the values of a key, or of a claim. */
export function splitList(key: string, live: readonly Branch[], budget: Budget): Choice[] {
  const tests = [...new Set(live.flatMap(({ lists }) => lists.get(key) ?? []))];
  const singles = singlesOf(tests, budget);
  const isClaim = key.startsWith('claim ');
  const outcomes = isClaim
    ? [
        ...singles.map((one) => ({
          ...one,
          holds: tests.map((test, at) => test.needs === 'text' && one.holds[at] === true),
        })),
        ...(tests.some(({ needs }) => needs === 'member') ? listsOf(singles, tests, budget) : []),
      ]
    : closed(singles, tests, budget);
  const absent: Outcome = {
    values: [],
    isList: false,
    holds: tests.map(({ needs }) => needs === 'absent'),
  };
  const numbers = new Map(tests.map((test, at) => [test, at]));
  return [...outcomes, absent].map((outcome) => {
    budget.spend(1 + live.length);
    return {
      live: live.filter(({ lists }) =>
        (lists.get(key) ?? []).every((test) => outcome.holds[numbers.get(test) ?? -1] === true),
      ),
      apply: (draft) => write(draft, key, outcome),
    };
  });
}

/** A claim that is a list. */
function listsOf(
  singles: readonly Outcome[],
  tests: readonly ListTest[],
  budget: Budget,
): Outcome[] {
  const only = (one: Outcome): Outcome => ({
    ...one,
    isList: true,
    holds: tests.map((test, at) => test.needs === 'member' && one.holds[at] === true),
  });
  return closed(singles.map(only), tests, budget).map((one) => ({ ...one, isList: true }));
}

function singlesOf(tests: readonly ListTest[], budget: Budget): Outcome[] {
  const machines = [
    ...new Map(tests.flatMap((test) => test.machines).map((one) => [one.key, one])).values(),
  ];
  const at = new Map(machines.map(({ key }, number) => [key, number]));
  const lockstep = new Lockstep([textsWith(machines)], machines, budget);
  return lockstep.classes().flatMap((vector): Outcome[] => {
    const [value] = take(lockstep.words(vector), 1);
    if (value === undefined) return [];
    const holds = tests.map((test) =>
      test.machines.some(({ key }) => vector[at.get(key) ?? -1] === '1'),
    );
    return [{ values: [value], isList: false, holds }];
  });
}

/** Adds what several values together come to. */
function closed(
  singles: readonly Outcome[],
  tests: readonly ListTest[],
  budget: Budget,
): Outcome[] {
  const found = new Map<string, Outcome>();
  const add = (one: Outcome): void => {
    const key = one.holds.map(Number).join('');
    if (!found.has(key)) found.set(key, one);
  };
  singles.forEach(add);
  for (const one of found.values())
    for (const other of singles) {
      budget.spend(1 + tests.length);
      const holds = tests.map(({ needs }, at) =>
        needs === 'every'
          ? one.holds[at] === true && other.holds[at] === true
          : one.holds[at] === true || other.holds[at] === true,
      );
      add({ values: [...one.values, ...other.values], isList: one.isList, holds });
    }
  return [...found.values()];
}

/** Texts in general, and the characters of the machines that are none of the usual. */
function textsWith(machines: readonly Machine[]): Grammar {
  const own = new Set(machines.flatMap(({ chars }) => chars.split('')));
  const more = [...own].filter((char) => !plainText.chars.includes(char));
  return more.length === 0 ? plainText : { ...plainText, chars: [...plainText.chars, ...more] };
}

function write({ headers, query, claims }: Draft, key: string, { values, isList }: Outcome): void {
  const at = key.indexOf(' ');
  const name = key.slice(at + 1);
  if (key.startsWith('header ')) headers.set(name, values);
  else if (key.startsWith('query ')) query.set(name, values);
  else if (isList) claims.set(name, values);
  else if (values[0] === undefined) claims.delete(name);
  else claims.set(name, values[0]);
}
