import { type LastingRecords, readOrUndefined } from '../store/index.ts';
import { decodeSuspension, encodeSuspension, joinSuspensions } from './suspension-record.ts';

/** How long it is known that a suspension was lifted: what others remember of it by then is older. */
export const LIFTED_KEPT_MS = 7_776_000_000;

/** What is suspended stays so until it is lifted, and what is lifted too. */
export const lastingSuspensions: LastingRecords = {
  bucket: 'revocations',
  prefix: 'suspension.',
  keeps: 'all',
  endOf(key, value) {
    const lifted = readOrUndefined(() => decodeSuspension(key, value))?.lifted;
    return lifted && lifted.at + LIFTED_KEPT_MS;
  },
  join(key, known, stored) {
    const kept = readOrUndefined(() => decodeSuspension(key, known));
    if (kept === undefined) return undefined;
    const there = stored && readOrUndefined(() => decodeSuspension(key, stored));
    const joined = there === undefined ? kept : joinSuspensions(there, kept);
    return joined === there ? undefined : encodeSuspension(joined);
  },
};
