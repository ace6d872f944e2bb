import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  AuditLedger,
  type AuditLedgerOptions,
  readHead,
  type Verification,
  verifyLedger,
} from '../../src/audit/index.ts';
import type { X509IssuanceEvent } from '../../src/spiffe/index.ts';
import { FakeClock } from './fake-clock.ts';

/** A folder of its own with a ledger and its head; removed when disposed of. */
export class AuditPlace {
  readonly root: string = mkdtempSync(path.join(tmpdir(), 'audit-'));
  readonly folder: string = path.join(this.root, 'audit');
  readonly headFile: string = path.join(this.root, 'audit.head');
  readonly keyFile: string = path.join(this.root, 'audit.key');
  readonly clock: FakeClock = new FakeClock();

  async open(options: Partial<AuditLedgerOptions> = {}): Promise<AuditLedger> {
    const { folder, headFile, keyFile, clock } = this;
    return await AuditLedger.open({
      folder,
      headFile,
      keyFile,
      clock,
      owner: 'example.org',
      maxFileBytes: 1_000_000,
      retention: { retainBytes: 1_000_000_000, retainMs: 1_000_000_000_000 },
      ...options,
    });
  }

  /** As while no server runs. */
  async verify(): Promise<Verification> {
    const { head, fault } = await readHead(this);
    return await verifyLedger({ folder: this.folder, head, headFault: fault });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** The certificate with this serial number, issued to an agent's workload. */
export function issuance(number: number, more: Partial<X509IssuanceEvent> = {}): X509IssuanceEvent {
  return {
    kind: 'x509-svid',
    serialNumber: number.toString(16).padStart(32, '0'),
    spiffeId: `spiffe://example.org/web/${number}`,
    issuedAt: 1_767_225_600_000,
    expiresAt: 1_767_229_200_000,
    authorityId: 'ab12',
    entryId: 'entry-1',
    entryRevision: 3,
    requester: { kind: 'agent', spiffeId: 'spiffe://example.org/spire/agent/x509pop/a' },
    purpose: 'workload',
    ...more,
  };
}
