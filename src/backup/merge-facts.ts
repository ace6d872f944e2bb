import { decideRecord, type EraOrder, type Fact, ruleFor } from '../journal/index.ts';
import type { BucketName, LastingRecords, StoredRecord, StoreSnapshot } from '../store/index.ts';

/** Records as they are to be stored, by bucket and key. */
export type StateRecords = ReadonlyMap<BucketName, ReadonlyMap<string, StoredRecord>>;

/**
 * The records of a snapshot of each bucket, and what is known of them besides: what was revoked, banned,
 * spent or deleted later stays so. Facts that are over count for nothing.
 */
export function mergeFacts(
  state: { readonly buckets: ReadonlyMap<BucketName, StoreSnapshot> },
  facts: readonly Fact[],
  orderOf: (era: string) => EraOrder,
  rules: readonly LastingRecords[],
  now: number,
): { readonly records: StateRecords; readonly changed: number } {
  const merged = new Map(
    [...state.buckets].map(([name, { records }]): [BucketName, Map<string, StoredRecord>] => [
      name,
      new Map(records.map((record) => [record.key, record])),
    ]),
  );
  const changed = new Set<string>();
  for (const fact of latestOf(facts)) {
    if ((fact.expiresAt ?? Number.POSITIVE_INFINITY) <= now) continue;
    const rule = ruleFor(rules, fact.bucket, fact.key);
    if (rule === undefined) continue;
    const records = merged.get(rule.bucket) ?? new Map<string, StoredRecord>();
    merged.set(rule.bucket, records);
    const bucketRevision = state.buckets.get(rule.bucket)?.revision ?? 0;
    const place = { order: orderOf(fact.era), bucketRevision };
    const { key, revision } = fact;
    const decision = decideRecord(rule, fact, records.get(key), place);
    if (decision.type === 'stand') continue;
    changed.add(`${rule.bucket} ${key}`);
    if (decision.type === 'put') records.set(key, { key, value: decision.value, revision });
    else records.delete(key);
  }
  return { records: merged, changed: changed.size };
}

/** Of facts of one record in one era the latest; eras in their order. */
function latestOf(facts: readonly Fact[]): readonly Fact[] {
  const latest = new Map<string, Fact>();
  for (const fact of facts) {
    const id = `${fact.era} ${fact.bucket} ${fact.key}`;
    const known = latest.get(id);
    if (known === undefined || known.revision < fact.revision) latest.set(id, fact);
  }
  return [...latest.values()];
}
