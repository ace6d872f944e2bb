export type LintSeverity = 'error' | 'warning' | 'info';

export interface LintRule {
  readonly severity: LintSeverity;
  /** What can happen; one sentence, without its full stop. */
  readonly danger: string;
  readonly fix: string;
}
