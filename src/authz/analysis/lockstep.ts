import type { Budget } from './budget.ts';
import type { Grammar } from './grammar.ts';
import type { Machine } from './machine.ts';

interface State {
  readonly grammars: readonly number[];
  readonly machines: readonly bigint[];
  /** Per symbol the number of the next state; -1: none. */
  readonly next: number[];
}

/**
 * Several machines that read the same text, among texts that every grammar allows. Each distinct list
 * of those that accept (a text of 0 and 1) is one class of texts.
 */
export class Lockstep {
  readonly #grammars: readonly Grammar[];
  readonly #machines: readonly Machine[];
  /** Characters that no machine and no grammar tells apart. */
  readonly #symbols: readonly (readonly string[])[];
  readonly #states: State[] = [];
  readonly #budget: Budget;

  constructor(grammars: readonly Grammar[], machines: readonly Machine[], budget: Budget) {
    this.#grammars = grammars;
    this.#machines = machines;
    this.#budget = budget;
    this.#symbols = symbolsOf(grammars, machines);
    this.#build();
  }

  /** The classes that some text is of. */
  classes(): string[] {
    const found = new Set<string>();
    for (const state of this.#states) {
      const vector = this.#vectorOf(state);
      if (vector !== undefined) found.add(vector);
    }
    return [...found];
  }

  /** The texts of a class, the shortest first; without end where there is none. */
  *words(vector: string): Generator<string, void> {
    const accepting = this.#states.map((state) => this.#vectorOf(state) === vector);
    const reach = [accepting];
    for (let length = 0, misses = 0; misses <= this.#states.length; length++) {
      const within = reach[length] ?? [];
      misses = within[0] === true ? 0 : misses + 1;
      if (within[0] === true) yield* this.#wordsOf(0, length, reach);
      this.#budget.spend(this.#states.length);
      reach.push(this.#states.map(({ next }) => next.some((to) => within[to] === true)));
    }
  }

  *#wordsOf(from: number, length: number, reach: readonly boolean[][]): Generator<string, void> {
    this.#budget.spend(1);
    if (length === 0) {
      yield '';
      return;
    }
    for (const [symbol, to] of (this.#states[from]?.next ?? []).entries()) {
      if (reach[length - 1]?.[to] !== true) continue;
      for (const char of this.#symbols[symbol] ?? [])
        for (const rest of this.#wordsOf(to, length - 1, reach)) yield char + rest;
    }
  }

  #vectorOf({ grammars, machines }: State): string | undefined {
    if (!this.#grammars.every((one, at) => one.accepts(grammars[at] ?? -1))) return undefined;
    return this.#machines.map((one, at) => (one.accepts(machines[at] ?? 0n) ? '1' : '0')).join('');
  }

  #build(): void {
    const numbers = new Map<string, number>();
    const numberOf = (grammars: readonly number[], machines: readonly bigint[]): number => {
      const key = `${grammars.join()} ${machines.join()}`;
      const known = numbers.get(key);
      if (known !== undefined) return known;
      numbers.set(key, this.#states.length);
      return this.#states.push({ grammars, machines, next: [] }) - 1;
    };
    numberOf(
      this.#grammars.map(() => 0),
      this.#machines.map(({ start }) => start),
    );
    for (let at = 0; at < this.#states.length; at++) {
      const state = this.#states[at];
      if (state === undefined) break;
      this.#budget.spend(this.#symbols.length * (1 + this.#machines.length));
      for (const [char = ''] of this.#symbols) {
        const grammars = this.#grammars.map((one, g) => one.next(state.grammars[g] ?? 0, char));
        const machines = this.#machines.map((one, m) => one.next(state.machines[m] ?? 0n, char));
        state.next.push(grammars.includes(-1) ? -1 : numberOf(grammars, machines));
      }
    }
  }
}

function symbolsOf(grammars: readonly Grammar[], machines: readonly Machine[]): string[][] {
  const [first, ...others] = grammars;
  const all = (first?.chars ?? []).filter((char) =>
    others.every(({ chars }) => chars.includes(char)),
  );
  const own = new Set([
    ...machines.flatMap(({ chars }) => chars.split('')),
    ...grammars.flatMap(({ special }) => special.split('')),
  ]);
  const plain = all.filter((char) => !own.has(char));
  const alone = all.filter((char) => own.has(char)).map((char) => [char]);
  const order = ([first = '']: readonly string[]): number => all.indexOf(first);
  return [...(plain.length === 0 ? [] : [plain]), ...alone].sort((a, b) => order(a) - order(b));
}
