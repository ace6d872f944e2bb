import type { LastingRecords, StoredRecord } from '../store/index.ts';
import type { Fact } from './journal-line.ts';

/** What is to become of a stored record for the sake of what is remembered of it. */
export type RecordDecision =
  | { readonly type: 'stand' }
  | { readonly type: 'put'; readonly value: Uint8Array }
  | { readonly type: 'delete' };

export const STAND: RecordDecision = { type: 'stand' };

/**
 * Decides on one record. In one era revisions tell which of two is later: a record below what was seen of
 * it, or missing from a bucket that is, was lost. Otherwise the safe side of both holds.
 * @param bucketRevision of the reading that found `stored`
 */
export function decideRecord(
  rule: Pick<LastingRecords, 'join'>,
  fact: Fact,
  stored: StoredRecord | undefined,
  place: { readonly isSameEra: boolean; readonly bucketRevision: number },
): RecordDecision {
  if (!place.isSameEra) return safeSide(rule, fact, stored);
  const storedRevision = stored?.revision ?? place.bucketRevision;
  if (storedRevision >= fact.revision) return STAND;
  if (fact.value !== undefined) return { type: 'put', value: fact.value };
  return stored === undefined ? STAND : { type: 'delete' };
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
