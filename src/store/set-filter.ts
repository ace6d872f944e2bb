/** How the values of a record stand to the wanted ones, as in SPIRE: subset = nothing but wanted ones, and at least one. */
export type MatchBehavior = 'exact' | 'subset' | 'superset' | 'any';

export interface SetFilter {
  readonly match: MatchBehavior;
  /** At least one. */
  readonly values: readonly string[];
}

/** Whether the values of a record are meant; without a filter all are. */
export function compileSetFilter(
  filter: SetFilter | undefined,
): (own: () => readonly string[]) => boolean {
  if (filter === undefined) return () => true;
  const wanted = new Set(filter.values);
  return (own) => compare(filter.match, own(), wanted);
}

function compare(match: MatchBehavior, own: readonly string[], wanted: Set<string>): boolean {
  const shared = own.filter((value) => wanted.has(value)).length;
  const within = shared > 0 && shared === own.length;
  if (match === 'any') return shared > 0;
  if (match === 'superset') return shared === wanted.size;
  return match === 'subset' ? within : within && shared === wanted.size;
}
