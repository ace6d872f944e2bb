import type { Callers, Line } from './callers.ts';
import type { Variant } from './variants.ts';

/** Something that is tried at both Envoys, and what has to come of it. */
export interface Check {
  readonly name: string;
  readonly who: 'web' | 'batch' | 'nobody';
  readonly line: Line;
  readonly expected: string;
}

export const reads: Line = { line: 'GET /items/7' };
export const exports: Line = { line: 'GET /items/export/all' };
export const search: Line = { line: 'GET /search?q=shoes' };
export const order: Line = { line: 'POST /orders' };
export const report: Line = { line: 'GET /items/reports/1' };

type Row = readonly [string, Check['who'], Line, number | string];

/** What only the draft would decide otherwise. */
const drafted: readonly Row[] = [
  ['web reads a report', 'web', report, 200],
  ['batch counts the stock', 'batch', { line: 'GET /stock/7' }, 403],
];

/** All that is tried again and again. */
export function checksOf(variant: Variant): readonly Check[] {
  const forged = { line: 'GET /admin', headers: { 'x-envoy-original-path': '/items/7' } };
  const all: readonly Row[] = [
    ['web reads an item', 'web', reads, 200],
    ['web deletes it', 'web', { line: 'DELETE /items/7' }, 403],
    ['web exports, which a rule denies', 'web', exports, 403],
    ['and once more, round a corner', 'web', { line: 'GET /items/x/../export/all' }, 403],
    ['web says that its path is another', 'web', forged, 403],
    ['web searches, by a query', 'web', search, variant.search],
    ['a workload without a rule', 'batch', reads, 403],
    ['a caller without certificate', 'nobody', reads, 'no connection'],
    ...(variant.hasDraft ? drafted : []),
  ];
  return all.map(([name, who, line, expected]) => ({
    name,
    who,
    line,
    expected: String(expected),
  }));
}

/** Tries it at both; resolves with what came of it, once if it is the same. */
export async function attempt(
  { who, line }: Check,
  callers: readonly Callers[],
): Promise<readonly string[]> {
  return await Promise.all(callers.map(async (one) => await one[who](line)));
}
