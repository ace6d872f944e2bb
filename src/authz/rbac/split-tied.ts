import type { Pattern } from '../pattern.ts';
import type { Operation } from '../policy.ts';

/** Some of the patterns of a rule, whose captures have the same names. */
export interface TiedChoice {
  /** Undefined: anyone. */
  readonly ids: readonly Pattern[] | undefined;
  readonly operation: Operation;
  /** Two captures must be equal; otherwise each is like a star. */
  readonly isTied: boolean;
}

interface Group {
  readonly names: readonly string[];
  readonly patterns: readonly Pattern[] | undefined;
}

/** Parts the ways to match an operation by whether captures must be equal. Together they are all of it. */
export function splitTied(
  ids: readonly Pattern[] | undefined,
  operation: Operation,
): readonly TiedChoice[] {
  const { paths, hosts } = operation;
  if (![ids, paths, hosts].some(haveCaptures)) return [{ ids, operation, isTied: false }];
  const choices = byNames(ids).flatMap((caller) =>
    byNames(paths).flatMap((path) =>
      byNames(hosts).map((host): TiedChoice => {
        const names = [...caller.names, ...path.names, ...host.names];
        const isTied = new Set(names).size < names.length;
        const part = { ...operation, paths: path.patterns, hosts: host.patterns };
        return { ids: caller.patterns, operation: part, isTied };
      }),
    ),
  );
  return choices.some(({ isTied }) => isTied) ? choices : [{ ids, operation, isTied: false }];
}

function haveCaptures(patterns: readonly Pattern[] | undefined): boolean {
  return patterns?.some(({ text }) => text.includes('{')) === true;
}

function byNames(patterns: readonly Pattern[] | undefined): readonly Group[] {
  if (patterns === undefined) return [{ names: [], patterns }];
  const groups = Map.groupBy(patterns, ({ captureNames }) => captureNames.toSorted().join());
  return Array.from(groups.values(), (group) => ({
    names: group[0]?.captureNames ?? [],
    patterns: group,
  }));
}
