import { type LastingRecords, readOrUndefined } from '../store/index.ts';
import { joinRevocations } from './join-revocations.ts';
import { decodeRevocation, encodeRevocation } from './revocation-record.ts';

/** Clocks of servers differ. */
const AFTER_END_MS = 300_000;

/** What is revoked stays so until it has expired. */
export const lastingRevocations: LastingRecords = {
  bucket: 'revocations',
  prefix: '',
  keeps: 'all',
  endOf(key, value) {
    const revocation = readOrUndefined(() => decodeRevocation(key, value));
    return revocation && revocation.expiresAt + AFTER_END_MS;
  },
  join(key, known, stored) {
    const kept = readOrUndefined(() => decodeRevocation(key, known));
    if (kept === undefined) return undefined;
    const there = stored && readOrUndefined(() => decodeRevocation(key, stored));
    const joined = joinRevocations(kept, there);
    return joined === there ? undefined : encodeRevocation(joined);
  },
};
