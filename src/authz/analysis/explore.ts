import type { Branch } from './branch.ts';
import type { Budget } from './budget.ts';
import type { Choice } from './choice.ts';
import { type Draft, emptyDraft } from './draft.ts';
import { SegmentClasses } from './segment-classes.ts';
import { settleCaptures } from './settle-captures.ts';
import { splitList } from './split-lists.ts';
import { splitAddresses, splitMethods, splitPorts, splitTimes } from './split-sets.ts';
import { type SplitContext, splitCallers, splitHosts, splitPaths } from './split-values.ts';
import { pathKind } from './value-cells.ts';

/** Requests that match the same branches. */
export interface RequestClass {
  readonly live: readonly Branch[];
  /** The shortest request of the class. */
  readonly draft: () => Draft;
}

export interface Exploration {
  readonly branches: readonly Branch[];
  readonly allowMatrixParameters?: boolean;
  readonly usesTokens?: boolean;
  readonly budget: Budget;
  /** False: no class with only these, or fewer, is of interest. */
  keep?(live: readonly Branch[]): boolean;
  /** True: enough was seen. */
  visit(found: RequestClass): boolean | undefined;
}

interface Field {
  isTested(branch: Branch): boolean;
  split(live: readonly Branch[], context: SplitContext): Choice[];
}

/**
 * Goes through the classes of requests, one field after the other: values of a field are merged that the
 * same branches match, and from there each set of branches is followed once.
 */
export function explore(exploration: Exploration): void {
  new Walk(exploration).from(0, exploration.branches, []);
}

class Walk {
  readonly #exploration: Exploration;
  readonly #fields: readonly Field[];
  readonly #context: SplitContext;
  readonly #seen = new Set<string>();
  #isDone = false;

  constructor(exploration: Exploration) {
    const { branches, budget, allowMatrixParameters = false, usesTokens = false } = exploration;
    this.#exploration = exploration;
    this.#fields = fieldsOf(branches);
    this.#context = {
      budget,
      usesTokens,
      classes: new SegmentClasses(budget),
      pathKind: pathKind(allowMatrixParameters),
    };
  }

  from(at: number, live: readonly Branch[], chosen: readonly Choice[]): void {
    if (this.#exploration.keep?.(live) === false) return;
    const field = this.#fields[at];
    if (field === undefined) return this.#arrive(live, chosen);
    if (!live.some((branch) => field.isTested(branch))) return this.from(at + 1, live, chosen);
    if (this.#isKnown(at, live)) return;
    for (const choice of merged(field.split(live, this.#context))) {
      this.from(at + 1, choice.live, [...chosen, choice]);
      if (this.#isDone) return;
    }
  }

  /** Where captures are to be compared, it matters by which values a set of branches came about. */
  #isKnown(at: number, live: readonly Branch[]): boolean {
    this.#exploration.budget.spend(1 + live.length);
    if (live.some(({ equal }) => equal.length > 0)) return false;
    const key = `${at} ${live.map(({ number }) => number).join()}`;
    if (this.#seen.has(key)) return true;
    this.#seen.add(key);
    return false;
  }

  #arrive(live: readonly Branch[], chosen: readonly Choice[]): void {
    for (const { live: matching, words } of settleCaptures(live, chosen, this.#context)) {
      if (this.#exploration.keep?.(matching) === false) continue;
      const draft = (): Draft => {
        const made = emptyDraft();
        for (const { apply } of chosen) apply(made);
        for (const [{ field, depth }, word] of words)
          made[field] = (made[field] ?? []).with(depth, word);
        return made;
      };
      this.#isDone ||= this.#exploration.visit({ live: matching, draft }) === true;
      if (this.#isDone) return;
    }
  }
}

/** One choice for each set of branches; where captures are to be compared, all. */
function merged(choices: readonly Choice[]): Choice[] {
  const byLive = new Map<string, Choice>();
  for (const [at, choice] of choices.entries()) {
    const live = choice.live.toSorted((a, b) => a.number - b.number);
    const { cell } = choice;
    const isKept =
      cell !== undefined &&
      live.some(({ equal }) => equal.some((refs) => refs.some((ref) => ref.field === cell.field)));
    const key = `${isKept ? at : ''} ${live.map(({ number }) => number).join()}`;
    if (!byLive.has(key)) byLive.set(key, { ...choice, live });
  }
  return [...byLive.values()];
}

function fieldsOf(branches: readonly Branch[]): Field[] {
  const keys = new Set(branches.flatMap(({ lists }) => [...lists.keys()]));
  const has =
    (field: keyof Branch) =>
    (branch: Branch): boolean =>
      branch[field] !== undefined;
  return [
    {
      isTested: (one) => one.caller !== undefined || one.percent !== undefined,
      split: splitCallers,
    },
    { isTested: ({ needsHttp }) => needsHttp, split: splitMethods },
    { isTested: has('paths'), split: splitPaths },
    { isTested: has('hosts'), split: splitHosts },
    { isTested: has('ports'), split: splitPorts },
    { isTested: has('sourceIp'), split: (live) => splitAddresses(live, 'sourceIp') },
    { isTested: has('destinationIp'), split: (live) => splitAddresses(live, 'destinationIp') },
    { isTested: (one) => one.from !== undefined || one.until !== undefined, split: splitTimes },
    ...[...keys].map(
      (key): Field => ({
        isTested: ({ lists }) => lists.has(key),
        split: (live, { budget }) => splitList(key, live, budget),
      }),
    ),
  ];
}
