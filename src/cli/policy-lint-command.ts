import { Command } from 'commander';
import type { LintFinding } from '../authz/analysis/index.ts';
import { Finished, type Io, print } from './io.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { collect, type OutputOptions, withOutput } from './options.ts';

interface LintCommandOptions extends OutputOptions {
  readonly trustDomain?: readonly string[];
  readonly strict?: boolean;
}

interface PlacedFinding extends Omit<LintFinding, 'path'> {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
}

const EXAMPLES = `
Examples:
  trustplane policy lint policies/
  trustplane policy lint policies/*.yaml --strict --trust-domain prod.example --trust-domain partner.example
  trustplane policy lint payments.yaml --output json

The files are looked at together, and each stage as if it were enforced. Each finding is one line:
file:line:column: severity: code: what and what to do. Exit code 0, or 1 for an error or, with --strict, a warning;
information never fails. The codes are in docs/reference/policy.md.`;

export function lintCommand(io: Io): Command {
  return withOutput(new Command('lint'))
    .description(
      'Find what is valid in policies and rarely meant: dead rules, denies that can be dodged.',
    )
    .argument('<files...>', 'policy files (YAML), or directories of them')
    .option(
      '--trust-domain <name>',
      'one that is ours or federated; with it others are told (may be repeated)',
      collect,
    )
    .option('--strict', 'fail on warnings too')
    .addHelpText('after', EXAMPLES)
    .action((files: string[], options: LintCommandOptions) => lint(io, files, options));
}

async function lint(io: Io, files: readonly string[], options: LintCommandOptions): Promise<void> {
  const { lintPolicies } = await import('../authz/analysis/index.ts');
  const { systemClock } = await import('../ops/system-clock.ts');
  const { policies } = await loadNamedPolicies(files);
  const documents = new Map(policies.map((one) => [one.policy.metadata.name, one.document]));
  const found = lintPolicies(
    policies.map(({ policy }) => policy),
    { now: systemClock.now(), trustDomains: options.trustDomain },
  ).flatMap(({ path, ...finding }): PlacedFinding[] => {
    const document = documents.get(finding.policy);
    if (document === undefined) return [];
    return [{ file: document.file, ...document.position(path), path: path.join('.'), ...finding }];
  });
  const sorted = found.toSorted((a, b) =>
    a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1,
  );
  const count = (severity: LintFinding['severity']): number =>
    sorted.filter((one) => one.severity === severity).length;
  const [errors, warnings, infos] = [count('error'), count('warning'), count('info')];
  const lines = sorted.map(
    ({ file, line, column, severity, code, message, fix }) =>
      `${file}:${line}:${column}: ${severity}: ${code}: ${message}; ${fix}`,
  );
  const text = [...lines, `errors ${errors}, warnings ${warnings}, infos ${infos}`].join('\n');
  print(io, options.output, { errors, warnings, infos, findings: sorted }, text);
  if (errors > 0 || (options.strict === true && warnings > 0)) throw new Finished(1);
}
