import type { AttestationEvent, AuditLog, Clock } from '../spiffe/index.ts';

/** Recorded one by one in a minute; strangers can cause many more. */
const MOST = 60;
const MINUTE_MS = 60_000;

/** Records refused attestations, a bounded number of them in any minute; of the others the next one says how many. */
export class RefusedAttestations {
  readonly #audit: AuditLog;
  readonly #clock: Pick<Clock, 'now'>;
  #since = -Infinity;
  #recorded = 0;
  #unrecorded = 0;

  constructor(audit: AuditLog, clock: Pick<Clock, 'now'>) {
    this.#audit = audit;
    this.#clock = clock;
  }

  /** Never rejects: nothing is handed out. */
  async record(event: Omit<AttestationEvent, 'kind' | 'outcome' | 'unrecorded'>): Promise<void> {
    const now = this.#clock.now();
    // A clock that was set back does not lengthen the minute.
    if (Math.abs(now - this.#since) >= MINUTE_MS) {
      this.#since = now;
      this.#recorded = 0;
    }
    if (this.#recorded >= MOST) {
      this.#unrecorded += 1;
      return;
    }
    this.#recorded += 1;
    const unrecorded = this.#unrecorded > 0 ? this.#unrecorded : undefined;
    this.#unrecorded = 0;
    const refused = { kind: 'attestation', outcome: 'refused', ...event, unrecorded } as const;
    await this.#audit.record([refused]).catch(() => {
      this.#unrecorded += 1 + (unrecorded ?? 0);
    });
  }
}
