import type { Metrics } from '../ops/index.ts';
import type { LedgerFile } from './ledger-files.ts';

const COMMIT_SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

/** What a ledger counts; without metrics, nothing. */
export interface AuditMetrics {
  readonly records: { inc(labels: { readonly kind: string }): void };
  readonly refusals: { inc(count: number): void };
  readonly commits: { startTimer(): () => unknown } | undefined;
}

export function auditMetricsOf(
  metrics: Metrics | undefined,
  ledger: { files(): readonly LedgerFile[]; isDamaged(): boolean },
): AuditMetrics {
  const nothing = { inc: () => {} };
  if (metrics === undefined) return { records: nothing, refusals: nothing, commits: undefined };
  metrics.readGauge('trustplane_audit_ledger_bytes', 'Size of the audit ledger.', (set) =>
    set(
      {},
      ledger.files().reduce((sum, { bytes }) => sum + bytes, 0),
    ),
  );
  metrics.readGauge(
    'trustplane_audit_oldest_seconds',
    'When the oldest record of the audit ledger was written, in seconds since the epoch.',
    (set) => {
      const [oldest] = ledger.files();
      if (oldest !== undefined) set({}, oldest.at / 1_000);
    },
  );
  metrics.readGauge(
    'trustplane_audit_damaged_count',
    '1 once the audit ledger was found not to be what was written.',
    (set) => set({}, ledger.isDamaged() ? 1 : 0),
  );
  return {
    records: metrics.counter(
      'trustplane_audit_records_total',
      'Records written into the audit ledger.',
      ['kind'],
    ),
    refusals: metrics.counter(
      'trustplane_audit_refusals_total',
      'Calls that were refused because they could not be recorded.',
    ),
    commits: metrics.histogram(
      'trustplane_audit_commit_seconds',
      'Time until a batch of audit records is on disk.',
      COMMIT_SECONDS,
    ),
  };
}
