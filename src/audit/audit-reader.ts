import type { IssuedRecord } from '../spiffe/index.ts';
import type { LedgerFilter } from './ledger-filter.ts';
import type { LocatedRecord } from './ledger-record.ts';
import type { Verification } from './verification.ts';

/** What can be asked of the ledger of this server. Reads take bounded memory, however long it is. */
export interface AuditReader {
  /**
   * Certificates issued from that instant on (milliseconds since the epoch), the oldest first. With `names`, SPIFFE
   * IDs and IDs of entries, at least those that name one of them; a few are found much sooner than all are read.
   * @throws TrustplaneError ERR_AUDIT_DAMAGED, ERR_AUDIT_READ
   */
  issuedSince(instant: number, names?: readonly string[]): AsyncIterable<IssuedRecord>;
  /** Who got the certificate; looks only where its serial number says it was issued, if it is one of this release. */
  findSerial(serialNumber: string): Promise<LocatedRecord | undefined>;
  /** The oldest first. @throws TrustplaneError ERR_AUDIT_DAMAGED, ERR_AUDIT_READ */
  read(filter: LedgerFilter): AsyncIterable<LocatedRecord>;
  verify(): Promise<Verification>;
}
