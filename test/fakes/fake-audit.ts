import type { AuditEvent, AuditLog } from '../../src/spiffe/index.ts';

/** Keeps what is recorded; `failure` is what the next calls fail with. */
export class FakeAudit implements AuditLog {
  readonly events: AuditEvent[] = [];
  calls = 0;
  failure: Error | undefined;

  get fault(): string | undefined {
    return this.failure?.message;
  }

  async findSerial(serialNumber: string): Promise<{ readonly event: AuditEvent } | undefined> {
    const event = this.events.find(
      (one) => one.kind === 'x509-svid' && one.serialNumber === serialNumber,
    );
    return event && { event };
  }

  async record(events: readonly AuditEvent[]): Promise<void> {
    this.calls += 1;
    if (this.failure !== undefined) throw this.failure;
    this.events.push(...events);
  }
}
