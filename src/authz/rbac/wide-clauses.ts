import type { Clause, KeyMatch } from './clause.ts';

/** In so many places of a tree a list of IDs may stand. */
const MANY_PLACES = 256;
const FEW_IDS = 4;

/** Clauses for the same list of callers, that is too long to stand with each of them. */
export interface Bundle {
  readonly ids: readonly KeyMatch[];
  /** Without the IDs. */
  readonly clauses: readonly Clause[];
}

/** Takes out the clauses whose lists of IDs, multiplied by their paths, would be most of a tree. */
export function takeBundles(clauses: readonly Clause[]): {
  readonly bundles: readonly Bundle[];
  readonly others: readonly Clause[];
} {
  const isLong = ({ id }: Clause): boolean => id !== undefined && id.length > FEW_IDS;
  if (!clauses.some(isLong)) return { bundles: [], others: clauses };
  const groups = Map.groupBy(clauses.filter(isLong), ({ id = [] }) =>
    id
      .map(({ kind, text, ...glob }) => `${kind} ${'parts' in glob ? glob.parts.join('') : text}`)
      .join('\n'),
  );
  const wide = [...groups.values()].filter((group) => placesOf(group) > MANY_PLACES);
  const taken = new Set(wide.flat());
  return {
    bundles: wide.map((group) => ({
      ids: group[0]?.id ?? [],
      clauses: group.map((clause) => ({ ...clause, id: undefined })),
    })),
    others: clauses.filter((clause) => !taken.has(clause)),
  };
}

function placesOf(group: readonly Clause[]): number {
  const paths = group.reduce((sum, { path }) => sum + (path?.length ?? 1), 0);
  return (group[0]?.id?.length ?? 0) * paths;
}
