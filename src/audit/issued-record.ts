import type { AuditEvent, IssuedRecord } from '../spiffe/index.ts';
import type { LedgerFile } from './ledger-files.ts';
import { agentOf } from './ledger-filter.ts';

/** How far the clock may have been set between a signature and its record. */
const SLACK_MS = 300_000;
const SERIAL_DIGITS = 32;
const TIME_DIGITS = 12;

/** Undefined for what is no certificate. */
export function issuedOf(event: AuditEvent): IssuedRecord | undefined {
  if (event.kind !== 'x509-svid') return undefined;
  const { serialNumber, spiffeId, entryId, authorityId, issuedAt, expiresAt, purpose } = event;
  const agentId = agentOf(event);
  return { serialNumber, spiffeId, entryId, agentId, authorityId, issuedAt, expiresAt, purpose };
}

/** The files that may have records of the time between two instants (milliseconds since the epoch). */
export function filesOf(
  files: readonly LedgerFile[],
  since: number,
  until: number,
): readonly LedgerFile[] {
  return files.filter((file, index) => {
    const end = files[index + 1]?.at ?? Infinity;
    return end >= since - SLACK_MS && file.at <= until + SLACK_MS;
  });
}

/** When a certificate with this serial number was issued, if it is one of ours: 48 bits of 128 say it. */
export function instantOfSerial(serialNumber: string): number {
  const digits = serialNumber.toLowerCase().replace(/^0+/u, '').padStart(SERIAL_DIGITS, '0');
  return Number.parseInt(digits.slice(0, TIME_DIGITS), 16);
}
