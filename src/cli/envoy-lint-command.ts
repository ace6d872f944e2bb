import { realpath, stat } from 'node:fs/promises';
import { Command } from 'commander';
import type { ConfigText, EnvoyLint, LintSeverity } from '../envoy/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { Finished, type Io, print } from './io.ts';
import { type OutputOptions, withOutput } from './options.ts';
import { readInput } from './read-input.ts';

interface LintOptions extends OutputOptions {
  readonly strict?: boolean;
  readonly fix?: boolean;
  readonly explain?: string;
}

const MAX_BYTES = 1_048_576;
const PERMISSIONS = 0o777;

const EXAMPLES = `
Examples:
  trustplane envoy lint envoy.yaml
  trustplane envoy lint --strict bootstrap.yaml listeners.yaml clusters.yaml
  trustplane envoy lint --fix envoy.yaml
  curl --silent http://127.0.0.1:9901/config_dump | trustplane envoy lint -
  trustplane envoy lint --explain path-not-normalized

Bootstraps, files of resources (LDS, CDS, RDS, ECDS) and dumps of a running Envoy, in YAML or JSON; - is standard input.
Files without a bootstrap belong to the Envoy of the one that has it. Each finding is one line:
file:line:column: severity: code: field: what can happen; what to do. --fix changes those files where that needs no
thought, keeps their comments, and says what is left. Exit code 0, or 1 for an error or, with --strict, a warning;
information never fails. 2 for what is no configuration. The codes are in docs/reference/envoy-lint.md.`;

export function envoyLintCommand(io: Io): Command {
  return withOutput(new Command('lint'))
    .description('Find what is dangerous in configurations of Envoy, and set it right.')
    .argument('[files...]', 'configurations of Envoy (YAML or JSON)')
    .option('--fix', 'change the files where that needs no thought')
    .option('--strict', 'fail on warnings too')
    .option('--explain <code>', 'say what a code means')
    .addHelpText('after', EXAMPLES)
    .action((files: string[], options: LintOptions) =>
      options.explain === undefined
        ? lint(io, files, options)
        : explain(io, options.explain, options.output),
    );
}

async function lint(io: Io, files: readonly string[], options: LintOptions): Promise<void> {
  const { fixEnvoy, lintEnvoy } = await import('../envoy/index.ts');
  if (files.length === 0)
    throw new TrustplaneError('ERR_USAGE', 'name files, or - for standard input');
  if (files.filter((file) => file === '-').length > 1)
    throw new TrustplaneError('ERR_USAGE', 'standard input can be read once');
  if (options.fix === true && files.includes('-'))
    throw new TrustplaneError('ERR_USAGE', '--fix needs a file; standard input is none');
  const texts = await Promise.all(files.map(readText));
  const fixed = options.fix === true ? fixEnvoy(texts) : { texts, changes: 0 };
  const found = lintEnvoy(fixed.texts);
  for (const [index, { text }] of fixed.texts.entries()) {
    const [file, old] = [files[index], texts[index]?.text];
    if (file !== undefined && text !== old) await replace(file, text);
  }
  report(io, options, found, fixed.changes);
}

function report(io: Io, options: LintOptions, found: EnvoyLint, changes: number): void {
  const count = (severity: LintSeverity): number =>
    found.findings.filter((one) => one.severity === severity).length;
  const [errors, warnings, infos] = [count('error'), count('warning'), count('info')];
  const isFixed = options.fix === true;
  const lines = found.findings.map(
    ({ file, line, column, severity, code, path, message, fix, isFixable }) =>
      `${file}:${line}:${column}: ${severity}: ${code}: ${path}: ${message}; ${fix}${isFixable ? ' (--fix)' : ''}`,
  );
  const notes = found.unknown.map(
    ({ file, line, column, type }) => `${file}:${line}:${column}: not looked into: ${type}`,
  );
  const sum = `errors ${errors}, warnings ${warnings}, infos ${infos}${isFixed ? `, changes ${changes}` : ''}`;
  const value = { errors, warnings, infos, ...(isFixed ? { changes } : {}), ...found };
  print(io, options.output, value, [...lines, ...notes, sum].join('\n'));
  if (errors > 0 || (options.strict === true && warnings > 0)) throw new Finished(1);
}

async function readText(name: string): Promise<ConfigText> {
  const file = name === '-' ? 'standard input' : name;
  const bytes = await readInput(name, MAX_BYTES);
  try {
    return { file, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (cause) {
    throw new TrustplaneError('ERR_YAML', `${file}: is not UTF-8`, { cause });
  }
}

async function replace(file: string, text: string): Promise<void> {
  const { writeFileAtomic } = await import('../ops/index.ts');
  // A link stays one.
  const place = await realpath(file);
  const { mode } = await stat(place);
  await writeFileAtomic(place, Buffer.from(text), { mode: mode & PERMISSIONS });
}

async function explain(io: Io, code: string, output: OutputOptions['output']): Promise<void> {
  const { lintRules } = await import('../envoy/index.ts');
  const [, rule] = Object.entries(lintRules).find(([name]) => name === code) ?? [];
  if (rule === undefined)
    throw new TrustplaneError(
      'ERR_USAGE',
      `no code is called ${JSON.stringify(code)}; they are ${Object.keys(lintRules).join(', ')}`,
    );
  const { severity, danger, fix } = rule;
  print(
    io,
    output,
    { code, severity, danger, fix },
    `${code} (${severity})\n${danger}.\nFix: ${fix}.`,
  );
}
