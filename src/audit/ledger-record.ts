import type { AuditEvent } from '../spiffe/index.ts';

/** One line of the ledger. */
export interface LedgerRecord {
  /** From 1, without gaps. */
  readonly sequenceNumber: number;
  /** When it was written, milliseconds since the epoch. */
  readonly at: number;
  /** SHA-256 of the line before, hex; zeros for the first of all. */
  readonly previousHash: string;
  readonly event: AuditEvent;
}

/** A record, and where it stands. */
export interface LocatedRecord extends LedgerRecord {
  /** SHA-256 of its line, hex. */
  readonly hash: string;
  /** The line, without its line feed. */
  readonly text: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
}
