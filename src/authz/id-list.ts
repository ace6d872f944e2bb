import type { Pattern } from './pattern.ts';

/** SPIFFE IDs and patterns of them, of which any number are looked up fast where they are exact. */
export interface IdList {
  readonly exact: ReadonlySet<string>;
  readonly patterns: readonly Pattern[];
  readonly hasCaptures: boolean;
}

export function buildIdList(ids: readonly Pattern[]): IdList {
  const patterns = ids.filter(({ isExact }) => !isExact);
  return {
    exact: new Set(ids.filter(({ isExact }) => isExact).map(({ text }) => text)),
    patterns,
    hasCaptures: patterns.some(({ captureNames }) => captureNames.length > 0),
  };
}
