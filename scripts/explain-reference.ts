import { findingCodes } from '../src/explain/index.ts';

const HEAD = ['| code | verdict | meaning | next step |', '|---|---|---|---|'];

/** Every finding, in order of rank. */
export function formatFindings(): string {
  const rows = Object.entries(findingCodes).map(
    ([code, [weight, meaning, next]]) =>
      `| \`${code}\` | ${weight === 'note' ? '' : weight} | ${meaning} | ${next} |`,
  );
  return [...HEAD, ...rows, ''].join('\n');
}
