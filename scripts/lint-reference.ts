import { lintRules } from '../src/envoy/index.ts';

/** A table of what is found in configurations of Envoy; Markdown. */
export function formatLintRules(): string {
  const rows = Object.entries(lintRules).map(
    ([code, { severity, danger, fix }]) => `| \`${code}\` | ${severity} | ${danger} | ${fix} |`,
  );
  return `${['| code | severity | what can happen | what to do |', '|---|---|---|---|', ...rows].join('\n')}\n`;
}
