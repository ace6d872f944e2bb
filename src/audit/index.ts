/** The audit ledger: what was handed out and who did what, in files that are only ever added to, chained by hashes. */
export { AuditLedger, type AuditLedgerOptions } from './audit-ledger.ts';
export type { AuditReader } from './audit-reader.ts';
export type { Retention } from './ledger-files.ts';
export { isWanted, type LedgerFilter } from './ledger-filter.ts';
export { readHead } from './ledger-head.ts';
export { parseRecord } from './ledger-line.ts';
export type { LedgerRecord, LocatedRecord } from './ledger-record.ts';
export { readStored } from './read-ledger.ts';
export type { Verification } from './verification.ts';
export { verifyFile, verifyLedger } from './verify-ledger.ts';
