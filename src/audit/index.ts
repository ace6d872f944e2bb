/** The audit ledger: what was handed out and who did what, in files that are only ever added to, chained by hashes. */
export type { AuditReader } from './audit-reader.ts';
export type { LedgerFilter } from './ledger-filter.ts';
export type { LedgerRecord, LocatedRecord } from './ledger-record.ts';
export type { Finding, Verification } from './verification.ts';
