import {
  type Clause,
  type KeyName,
  keyInputs,
  keyNames,
  keyPredicate,
  regexesOf,
  regexPartsOf,
} from './clause.ts';
import { type Bucket, divideClauses, loadOf } from './divide-clauses.ts';
import { inTurn } from './in-turn.ts';
import type { MatchAction, Matcher, MatchInput, MatchList, Predicate } from './matcher.ts';
import { allOf, anyOf, regexValue } from './predicates.ts';
import { TreeBudget } from './tree-budget.ts';
import { takeBundles } from './wide-clauses.ts';

/** So many clauses are tried one by one. */
const FEW_CLAUSES = 3;
/** So many regexes are. */
const FEW_REGEXES = 8;
/** Another key is asked before regexes if it leaves this fraction of them. */
const GOOD_KEY = 1 / 16;
/** A value is shared if so many clauses have it on average. */
const SHARED = 8;
/** So many times the clauses may stand in a part that is divided by shared values. */
const MAX_SPREAD = 1.25;

/**
 * The tree that has an action where one of the clauses matches, and else no result; undefined for no clauses.
 * It relies on Envoy's going on after a miss.
 * @throws TrustplaneError ERR_RBAC_LIMIT
 */
export function buildTree(
  clauses: readonly Clause[],
  action: MatchAction['action'],
): Matcher | undefined {
  return new TreeBuilder(action).build(clauses);
}

/** The same as one list, which relies on nothing. @throws TrustplaneError ERR_RBAC_LIMIT */
export function buildList(
  clauses: readonly Clause[],
  action: MatchAction['action'],
): Matcher | undefined {
  return new TreeBuilder(action).leaf(clauses, keyNames);
}

/** A part of a tree behind regexes, each in parts. */
interface Gate {
  readonly regexes: readonly (readonly string[])[];
  readonly then: Matcher | undefined;
}

class TreeBuilder {
  readonly #action: MatchAction['action'];
  readonly #budget = new TreeBudget();

  constructor(action: MatchAction['action']) {
    this.#action = action;
  }

  build(clauses: readonly Clause[]): Matcher | undefined {
    const { bundles, others } = takeBundles(clauses);
    const gates = bundles.map(({ ids, clauses: some }) => ({
      regexes: ids.map(regexPartsOf),
      then: this.#byKeys(some, keyNames),
    }));
    return inTurn(this.#byKeys(others, keyNames), this.#gates(keyInputs.id, gates));
  }

  /** The first that needs nothing more holds for all. */
  leaf(clauses: readonly Clause[], keys: readonly KeyName[]): Matcher | undefined {
    const entries: Entry[] = [];
    for (const clause of clauses) {
      const conditions: Predicate[] = [];
      for (const key of keys) {
        const matches = clause[key];
        if (matches !== undefined) conditions.push(keyPredicate(keyInputs[key], matches));
      }
      conditions.push(...clause.conditions);
      const then = this.#actionOf(clause);
      if (conditions.length === 0) return then;
      entries.push({ when: allOf(conditions), then });
    }
    return this.#list(entries);
  }

  #byKeys(clauses: readonly Clause[], keys: readonly KeyName[]): Matcher | undefined {
    const key = clauses.length <= FEW_CLAUSES ? onlyKey(clauses, keys) : nextKey(clauses, keys);
    if (key === undefined) return this.leaf(clauses, keys);
    const { exact, below, any } = divideClauses(clauses, key);
    const input = keyInputs[key];
    const rest = keys.filter((other) => other !== key);
    const texts = this.#map('exact', input, exact, (some) => this.#byKeys(some, rest));
    const starts = this.#map('prefix', input, below, (bucket) => this.#bucket(bucket, input, rest));
    return inTurn(inTurn(texts, starts), this.#byKeys(any, rest));
  }

  #bucket(
    { open, globs }: Bucket,
    input: MatchInput,
    rest: readonly KeyName[],
  ): Matcher | undefined {
    const all = [...globs.values()];
    return inTurn(this.#byKeys(open, rest), this.#globs(all, input, rest));
  }

  #globs(
    globs: readonly { readonly parts: readonly string[]; readonly clauses: readonly Clause[] }[],
    input: MatchInput,
    rest: readonly KeyName[],
  ): Matcher | undefined {
    const gate = (then: Matcher | undefined): Matcher | undefined =>
      this.#gates(input, [{ regexes: globs.map(({ parts }) => parts), then }]);
    const each = (): Matcher | undefined =>
      this.#gates(
        input,
        globs.map(({ parts, clauses }) => ({
          regexes: [parts],
          then: this.#byKeys(clauses, rest),
        })),
      );
    if (globs.length <= FEW_REGEXES) return each();
    const clauses = globs.flatMap(({ parts, clauses: some }) => {
      const glob = regexValue(input, parts.join(''));
      return some.map((clause) => ({ ...clause, conditions: [glob, ...clause.conditions] }));
    });
    const other = bestKey(clauses, rest);
    return gate(
      other !== undefined && other.load <= Math.max(FEW_CLAUSES, globs.length * GOOD_KEY)
        ? this.#byKeys(clauses, rest)
        : each(),
    );
  }

  /** A few are tried one by one; of more, some at once. */
  #gates(input: MatchInput, gates: readonly Gate[]): Matcher | undefined {
    if (gates.length <= FEW_REGEXES)
      return this.#list(
        gates.flatMap(({ regexes, then }) =>
          then === undefined ? [] : [{ when: anyOf(regexesOf(input, regexes)), then }],
        ),
      );
    const size = Math.ceil(gates.length / FEW_REGEXES);
    const parts = Array.from({ length: Math.ceil(gates.length / size) }, (_, at) =>
      gates.slice(at * size, (at + 1) * size),
    );
    return this.#gates(
      input,
      parts.map((some) => ({
        regexes: some.flatMap(({ regexes }) => regexes),
        then: this.#gates(input, some),
      })),
    );
  }

  #map<Value>(
    by: 'exact' | 'prefix',
    input: MatchInput,
    values: ReadonlyMap<string, Value>,
    build: (value: Value) => Matcher | undefined,
  ): Matcher | undefined {
    const entries = new Map<string, Matcher>();
    for (const [text, value] of values) {
      const then = build(value);
      this.#budget.spend(bytes.entry + text.length);
      if (then !== undefined) entries.set(text, then);
    }
    this.#budget.spend(bytes.node);
    return entries.size === 0
      ? undefined
      : { kind: 'map', by, input, entries, otherwise: undefined };
  }

  #list(entries: readonly Entry[]): Matcher | undefined {
    if (entries.length === 0) return undefined;
    this.#budget.spend(bytes.node);
    for (const { when } of entries) this.#budget.spend(bytes.entry + sizeOf(when));
    return { kind: 'list', entries, otherwise: undefined };
  }

  #actionOf({ name }: Clause): MatchAction {
    this.#budget.spend(bytes.action + 2 * name.length);
    return { kind: 'action', name, action: this.#action };
  }
}

type Entry = MatchList['entries'][number];

/** About what parts of a tree come to when they are encoded. */
const bytes = { node: 120, entry: 12, value: 110, action: 80 } as const;

function sizeOf(predicate: Predicate): number {
  switch (predicate.kind) {
    case 'and':
    case 'or':
      return predicate.all.reduce((sum, one) => sum + sizeOf(one), 8);
    case 'not':
      return 8 + sizeOf(predicate.of);
    case 'value':
    case 'claim': {
      const { match } = predicate;
      if (match.kind === 'ip') return bytes.value + 24 * match.ranges.length;
      return bytes.value + (match.kind === 'regex' ? match.regex.length : match.text.length);
    }
    default:
      return bytes.value;
  }
}

interface LoadedKey {
  readonly key: KeyName;
  readonly load: number;
}

/** The key that alone is left to ask for. */
function onlyKey(clauses: readonly Clause[], keys: readonly KeyName[]): KeyName | undefined {
  const left = keys.filter((key) => clauses.some((clause) => clause[key] !== undefined));
  const isOnly = clauses.every(
    (clause) =>
      clause.conditions.length === 0 &&
      left.every((key) => clause[key]?.every(({ kind }) => kind === 'exact') === true),
  );
  return left.length === 1 && isOnly ? left[0] : undefined;
}

/** One that most clauses share is asked once for all of them, else once for each. */
function nextKey(clauses: readonly Clause[], keys: readonly KeyName[]): KeyName | undefined {
  return keys.find((key) => isShared(clauses, key)) ?? bestKey(clauses, keys)?.key;
}

/** True where a key has few values, and asking for it first puts next to no clause into several places. */
function isShared(clauses: readonly Clause[], key: KeyName): boolean {
  const values = new Set<string>();
  let places = 0;
  for (const clause of clauses)
    for (const { kind, text } of clause[key] ?? []) {
      if (kind !== 'exact' || values.add(text).size > clauses.length / SHARED) return false;
      places++;
    }
  return values.size > 0 && places <= clauses.length * MAX_SPREAD;
}

/** The key by which the fewest clauses are left; one that leaves few is as good as any. */
function bestKey(clauses: readonly Clause[], keys: readonly KeyName[]): LoadedKey | undefined {
  let best: LoadedKey | undefined;
  for (const key of keys) {
    const load = loadOf(clauses, key);
    if (load !== undefined && load < (best?.load ?? Number.POSITIVE_INFINITY)) best = { key, load };
    if (best !== undefined && best.load <= FEW_CLAUSES) break;
  }
  return best;
}
