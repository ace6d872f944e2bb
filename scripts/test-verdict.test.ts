import { describe, expect, it } from 'vitest';
import { judgeRun } from './test-verdict.ts';

function report(...statuses: string[]): string {
  const assertionResults = statuses.map((status, index) => ({ fullName: `test ${index}`, status }));
  return JSON.stringify({
    testResults: [{ name: 'a.test.ts', status: 'passed', assertionResults }],
  });
}

describe('judgeRun', () => {
  it('counts what passed', () => {
    expect(judgeRun(0, report('passed', 'passed'), true)).toEqual({
      failed: 0,
      lines: ['2 passed, 0 failed'],
    });
  });

  it('names what failed', () => {
    const { failed, lines } = judgeRun(1, report('passed', 'failed'), true);
    expect(failed).toBe(1);
    expect(lines).toEqual(['failed: test 1', '1 passed, 1 failed']);
  });

  it('names what was skipped and counts it only where all must run', () => {
    expect(judgeRun(0, report('passed', 'skipped'), false).failed).toBe(0);
    const { failed, lines } = judgeRun(0, report('passed', 'skipped'), true);
    expect(failed).toBe(1);
    expect(lines).toContain('skipped: test 1');
  });

  it('counts a file that cannot be loaded', () => {
    const broken = { testResults: [{ name: 'b.test.ts', status: 'failed', assertionResults: [] }] };
    expect(judgeRun(1, JSON.stringify(broken), false).lines).toContain('failed: b.test.ts');
  });

  it.each([
    ['an error outside of tests', 1, report('passed')],
    ['no report', 1, undefined],
    ['no tests', 0, report()],
  ])('fails on %s', (_, code, text) => {
    expect(judgeRun(code, text, false).failed).toBe(1);
  });
});
