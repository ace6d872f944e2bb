import { hashOf } from '../hash-text.ts';
import type { Pattern } from '../pattern.ts';
import type { Branch, SegmentRef } from './branch.ts';
import type { Budget } from './budget.ts';
import type { Choice } from './choice.ts';
import type { SegmentClasses } from './segment-classes.ts';
import { take } from './take.ts';
import { type Cell, divideValues, hostKind, idKind, type ValueKind } from './value-cells.ts';

/** Of 100, into which a canary divides callers. */
const BUCKETS = 100;
/** So many IDs are tried to find one of a bucket. */
const MAX_TRIES = 2_000;

export interface SplitContext {
  readonly classes: SegmentClasses;
  readonly budget: Budget;
  readonly pathKind: ValueKind;
  /** A rule allows callers by JWT-SVID. */
  readonly usesTokens: boolean;
}

export function splitPaths(live: readonly Branch[], context: SplitContext): Choice[] {
  const divided = divide('path', context.pathKind, live, ({ paths }) => paths, context);
  return divided.map(({ cell, matching }) => ({
    live: matching,
    cell: { field: 'path', cell },
    apply: (draft) => (draft.path = cell.words),
  }));
}

export function splitHosts(live: readonly Branch[], context: SplitContext): Choice[] {
  const divided = divide('host', hostKind, live, ({ hosts }) => hosts, context);
  const absent: Choice = { live: live.filter(({ hosts }) => hosts === undefined), apply: () => {} };
  return [
    ...divided.map(
      ({ cell, matching }): Choice => ({
        live: matching,
        cell: { field: 'host', cell },
        apply: (draft) => (draft.host = cell.words),
      }),
    ),
    absent,
  ];
}

export function splitCallers(live: readonly Branch[], context: SplitContext): Choice[] {
  const idsOf = ({ caller }: Branch): readonly Pattern[] | undefined =>
    caller === undefined || caller.isOutside ? undefined : caller.ids;
  const aside = live.flatMap(({ caller }) =>
    caller === undefined ? [] : [...caller.except, ...(caller.isOutside ? (caller.ids ?? []) : [])],
  );
  const divided = divide('caller', idKind, live, idsOf, context, aside);
  const percents = [...new Set(live.flatMap(({ percent }) => percent ?? []))].sort((a, b) => a - b);
  const credentials = context.usesTokens
    ? (['x509-svid', 'jwt-svid'] as const)
    : (['x509-svid'] as const);
  const absent: Choice = {
    live: live.filter(
      ({ caller, percent }) => (caller === undefined || caller.isOutside) && percent === undefined,
    ),
    apply: (draft) => (draft.caller = undefined),
  };
  const known = divided.flatMap(({ cell, matching, isMatch }) => {
    const meant = matching.filter(
      ({ caller }) =>
        caller === undefined ||
        !(caller.except.some(isMatch) || (caller.isOutside && caller.ids?.some(isMatch) === true)),
    );
    return bucketsOf(
      cell,
      meant.some(({ percent }) => percent !== undefined) ? percents : [],
      context,
    ).flatMap(({ words, bucket }) =>
      credentials.map(
        (credential): Choice => ({
          live: meant.filter(
            ({ caller, percent }) =>
              (percent ?? BUCKETS) > bucket &&
              (caller === undefined || caller.isOutside || caller.credentials.includes(credential)),
          ),
          cell: { field: 'caller', cell },
          apply: (draft) => {
            draft.caller = words;
            draft.credential = credential;
          },
        }),
      ),
    );
  });
  return [...known, absent];
}

interface Divided {
  readonly cell: Cell;
  readonly matching: readonly Branch[];
  readonly isMatch: (pattern: Pattern) => boolean;
}

/** `aside`: patterns that tell values apart besides those that are looked for. */
function divide(
  field: SegmentRef['field'],
  kind: ValueKind,
  live: readonly Branch[],
  wanted: (branch: Branch) => readonly Pattern[] | undefined,
  { classes, budget }: SplitContext,
  aside: readonly Pattern[] = [],
): Divided[] {
  const byText = new Map<string, { pattern: Pattern; number: number; branches: Branch[] }>();
  const entryOf = (pattern: Pattern) => {
    const known = byText.get(pattern.text);
    if (known !== undefined) return known;
    const made = { pattern, number: byText.size, branches: [] };
    byText.set(pattern.text, made);
    return made;
  };
  const free: Branch[] = [];
  for (const branch of live) {
    const patterns = wanted(branch);
    if (patterns === undefined) free.push(branch);
    for (const pattern of patterns ?? []) entryOf(pattern).branches.push(branch);
  }
  for (const pattern of aside) entryOf(pattern);
  const entries = [...byText.values()];
  const kept = new Set(
    live.flatMap(({ equal }) =>
      equal.flat().flatMap((ref) => (ref.field === field ? [ref.depth] : [])),
    ),
  );
  const patterns = entries.map(({ pattern }) => pattern);
  return divideValues(kind, patterns, kept, classes, budget).map((cell) => {
    const hit = new Set(free);
    for (const number of cell.matched)
      for (const branch of entries[number]?.branches ?? []) hit.add(branch);
    budget.spend(1 + hit.size);
    const matched = new Set(cell.matched);
    return {
      cell,
      matching: [...hit],
      isMatch: (pattern) => matched.has(byText.get(pattern.text)?.number ?? -1),
    };
  });
}

/** A caller of the cell for each range between percents that one can be of, by the least bucket of the range. */
function bucketsOf(
  cell: Cell,
  percents: readonly number[],
  { classes, budget }: SplitContext,
): { readonly words: readonly string[]; readonly bucket: number }[] {
  if (percents.length === 0) return [{ words: cell.words, bucket: -1 }];
  const bounds = [0, ...percents].filter((one) => one < BUCKETS);
  const found = new Map<number, readonly string[]>();
  for (const words of take(variantsOf(cell, classes), MAX_TRIES)) {
    budget.spend(1);
    const text = idKind.textOf(words);
    const hash = hashOf(text, 0, text.length) % BUCKETS;
    const bound = bounds.findLast((one) => one <= hash) ?? 0;
    if (!found.has(bound)) found.set(bound, words);
    if (found.size === new Set(bounds).size) break;
  }
  return [...found].map(([bucket, words]) => ({ words, bucket }));
}

/** The texts of a cell that differ in one segment, or in one more. */
function* variantsOf(cell: Cell, classes: SegmentClasses): Generator<readonly string[], void> {
  yield cell.words;
  const at = cell.segments.findLastIndex(({ word }) => word === undefined);
  const language = cell.segments[at];
  if (language === undefined || language.word !== undefined) return;
  for (const word of classes.words([language])) yield cell.words.with(at, word);
}
