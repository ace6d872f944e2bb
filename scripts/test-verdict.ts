/** What a test run came to; the last of the lines is `N passed, N failed`. */
export interface TestVerdict {
  readonly failed: number;
  readonly lines: readonly string[];
}

/** A skipped test lacks a program or a right; who wants it to run is told what to get. */
const SKIPPED =
  'skipped tests need what is missing here: openssl, ip (iproute2), unshare and nsenter (util-linux), pip or root; see CONTRIBUTING.md';

/** What is read of vitest's JSON report. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/**
 * Judges a run by vitest's exit code and JSON report (undefined when it wrote none). A file that
 * could not be loaded and an error outside of tests count as one failure each. Where `mustRunAll`
 * is set, a skipped test is a failure.
 */
export function judgeRun(
  exitCode: number,
  report: string | undefined,
  mustRunAll: boolean,
): TestVerdict {
  const { testResults }: Report = JSON.parse(report ?? '{"testResults":[]}');
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const named = (statuses: readonly string[]) =>
    tests.filter(({ status }) => statuses.includes(status)).map(({ fullName }) => fullName);
  const passed = named(['passed']);
  const skipped = named(['skipped', 'pending', 'todo', 'disabled']);
  const failures = [...named(['failed']), ...unloadable(testResults)];
  if (exitCode !== 0 && failures.length === 0) failures.push('vitest: an error outside of tests');
  if (exitCode === 0 && passed.length === 0) failures.push('vitest: no test was run');
  const failed = failures.length + (mustRunAll ? skipped.length : 0);
  return {
    failed,
    lines: [
      ...skipped.map((name) => `skipped: ${name}`),
      ...(skipped.length === 0 ? [] : [SKIPPED]),
      ...failures.map((name) => `failed: ${name}`),
      `${passed.length} passed, ${failed} failed`,
    ],
  };
}

function unloadable(files: Report['testResults']): string[] {
  return files
    .filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
    .map(({ name }) => name);
}
