import type { LastingRecords, StoredRecord } from '../store/index.ts';
import type { Fact } from './journal-line.ts';

/** What is to become of a stored record for the sake of what is remembered of it. */
export type RecordDecision =
  | { readonly type: 'stand' }
  | { readonly type: 'put'; readonly value: Uint8Array }
  | { readonly type: 'delete' };

export const STAND: RecordDecision = { type: 'stand' };

/** How a fact stands to what a store holds: of the same era, of a later one, or nobody knows. */
export type EraOrder = 'same' | 'later' | 'unknown';

/**
 * Decides on one record. In one era revisions tell which of two is later: a record below what was seen of
 * it, or missing from a bucket that is, was lost. Otherwise the safe side of both holds.
 * @param bucketRevision of the reading that found `stored`
 */
export function decideRecord(
  rule: Pick<LastingRecords, 'join'>,
  fact: Fact,
  stored: StoredRecord | undefined,
  place: { readonly order: EraOrder; readonly bucketRevision: number },
): RecordDecision {
  if (place.order === 'unknown') return safeSide(rule, fact, stored);
  const storedRevision = Math.min(stored?.revision ?? place.bucketRevision, place.bucketRevision);
  if (place.order === 'same' && storedRevision >= fact.revision) return STAND;
  if (fact.value !== undefined) return { type: 'put', value: fact.value };
  return stored === undefined ? STAND : { type: 'delete' };
}

/**
 * How facts of an era stand to a store of another, when the store went through `eras`, the oldest first: a store
 * of an earlier one lost all that came later.
 */
export function orderOfEras(
  eras: readonly string[],
  storeEra: string | undefined,
  factEra: string,
): EraOrder {
  if (factEra === storeEra) return 'same';
  const known = eras.indexOf(factEra);
  const stored = storeEra === undefined ? -1 : eras.indexOf(storeEra);
  const isKnown = known !== -1 && (storeEra === undefined || stored !== -1);
  return isKnown && known > stored ? 'later' : 'unknown';
}

/** Of several of one bucket the first whose prefix fits counts. */
export function ruleFor(
  rules: readonly LastingRecords[],
  bucket: string,
  key: string,
): LastingRecords | undefined {
  return rules.find((rule) => rule.bucket === bucket && key.startsWith(rule.prefix));
}

function safeSide(
  { join }: Pick<LastingRecords, 'join'>,
  { key, value }: Fact,
  stored: StoredRecord | undefined,
): RecordDecision {
  const safe = value && join(key, value, stored?.value);
  return safe === undefined ? STAND : { type: 'put', value: safe };
}
