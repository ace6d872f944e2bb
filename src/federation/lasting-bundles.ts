import type { TrustDomain } from '../spiffe/index.ts';
import { type LastingRecords, readOrUndefined } from '../store/index.ts';
import { decodeBundleRecord } from './bundle-record.ts';
import { foreignBundleKind } from './foreign-bundle-record.ts';

/** No receiver would take an own bundle with a lower sequence number; and what was taken out of it stays out. */
export function lastingOwnBundle(trustDomain: TrustDomain): LastingRecords {
  return {
    bucket: 'authorities',
    prefix: 'bundle',
    keeps: 'all',
    endOf: () => undefined,
    join(_, known, stored) {
      const sequenceOf = (value: Uint8Array) =>
        readOrUndefined(() => decodeBundleRecord(value, trustDomain).sequence) ?? 0n;
      return stored === undefined || sequenceOf(stored) < sequenceOf(known) ? known : undefined;
    },
  };
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
