import type { TrustDomain } from '../spiffe/index.ts';
import { type LastingRecords, readOrUndefined } from '../store/index.ts';
import { decodeBundleRecord, encodeBundleRecord } from './bundle-record.ts';
import { foreignBundleKind } from './foreign-bundle-record.ts';

const KEY = 'bundle';

/** No receiver would take an own bundle with a lower sequence number; and what was taken out of it stays out. */
export function lastingOwnBundle(trustDomain: TrustDomain): LastingRecords {
  return {
    bucket: 'authorities',
    prefix: KEY,
    keeps: 'all',
    endOf: () => undefined,
    join(_, known, stored) {
      const sequenceOf = (value: Uint8Array) =>
        readOrUndefined(() => decodeBundleRecord(value, trustDomain).sequence) ?? 0n;
      return stored === undefined || sequenceOf(stored) < sequenceOf(known) ? known : undefined;
    },
  };
}

/** By how much a restored bundle is ahead of what it was; receivers take a leap of 2^32. */
const LEAP = 65_536n;

/** The own bundle under a sequence number that none had before; the same value when it is another record. */
export function raiseOwnBundle(
  key: string,
  value: Uint8Array,
  trustDomain: TrustDomain,
): Uint8Array {
  if (key !== KEY) return value;
  const record = readOrUndefined(() => decodeBundleRecord(value, trustDomain));
  if (record === undefined) return value;
  return encodeBundleRecord({ ...record, sequence: record.sequence + LEAP }, trustDomain);
}

/** A bundle of a foreign trust domain stays as new as it was; a relationship that was deleted stays so. */
export const lastingForeignBundles: LastingRecords = {
  bucket: 'federation',
  prefix: '',
  keeps: 'all',
  endOf: () => undefined,
  join(key, known, stored) {
    if (stored === undefined || !key.startsWith(`${foreignBundleKind.name}.`)) return undefined;
    const sequenceOf = (value: Uint8Array) =>
      readOrUndefined(() => foreignBundleKind.decode(key, value).highestSequence) ?? 0n;
    return sequenceOf(stored) < sequenceOf(known) ? known : undefined;
  },
};
