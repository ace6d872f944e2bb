/** How often a check was made, and what came of it that should not have. */
export interface Counted {
  readonly name: string;
  readonly expected: string;
  readonly times: number;
  readonly failures: readonly string[];
}

/** How the demo went. */
export interface Summary {
  readonly passed: boolean;
  /** Why it did not pass. */
  readonly faults: readonly string[];
  readonly seconds: number;
  readonly checks: readonly Counted[];
  /** Milliseconds from a saved policy to the first request decided by it; Infinity: never. */
  readonly editsMs: readonly number[];
  /** Milliseconds from the deletion of the job's entry to its first refused request. */
  readonly dismissedMs: number;
}

/** Judges. */
export function summarize(counted: Omit<Summary, 'passed' | 'faults'>): Summary {
  const faults = [
    ...counted.checks.flatMap(({ name, expected, times, failures }) => [
      ...(times === 0 ? [`${name}: never tried`] : []),
      ...(failures.length > 0
        ? [`${name}: expected ${expected}, got ${[...new Set(failures)].join(', ')}`]
        : []),
    ]),
    ...(counted.editsMs.length === 0 || counted.editsMs.includes(Infinity)
      ? ['an edited policy was not obeyed']
      : []),
    ...(counted.dismissedMs === Infinity ? ['a job without entry was let in'] : []),
  ];
  return { passed: faults.length === 0, faults, ...counted };
}

/** The summary for people. */
export function summaryText(summary: Summary): string {
  const { checks, editsMs, dismissedMs, seconds, faults } = summary;
  const requests = checks.reduce((sum, { times }) => sum + times, 0);
  const lines = [
    `${seconds} s: ${requests} requests of ${checks.length} kinds, ` +
      `${checks.reduce((sum, { failures }) => sum + failures.length, 0)} not answered as they should`,
    `${editsMs.length} edits of the policy, obeyed after ${[...editsMs]
      .sort((a, b) => a - b)
      .at(Math.floor(editsMs.length / 2))
      ?.toFixed(0)} ms (median), ${Math.max(...editsMs).toFixed(0)} ms (slowest)`,
    `the job's entry was deleted: refused ${dismissedMs.toFixed(0)} ms later`,
    summary.passed ? 'PASSED' : `FAILED: ${faults.join('; ')}`,
  ];
  return lines.join('\n');
}
