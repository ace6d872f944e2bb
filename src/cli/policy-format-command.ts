import { realpath, stat } from 'node:fs/promises';
import { Command, Option } from 'commander';
import type { PolicyText } from '../app/load-policies.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { findNamedTexts } from './named-policies.ts';
import { type OutputOptions, withOutput } from './options.ts';

interface FormatOptions extends OutputOptions {
  readonly check?: boolean;
  readonly write?: boolean;
}

interface FormattedFile {
  readonly file: string;
  readonly isChanged: boolean;
  readonly text: string;
}

const PERMISSIONS = 0o777;

const EXAMPLES = `
Examples:
  trustplane policy fmt --write policies/
  trustplane policy fmt --check policies/
  trustplane policy fmt - < payments.yaml

Without --write and --check one policy is printed in its form; - is standard input. Comments and
what a policy means stay; the order of rules and lists too. Exit code 7 if --check finds a file in
another form, 2 if a file is no policy.`;

export function formatCommand(io: Io): Command {
  return withOutput(new Command('fmt'))
    .description('Write policy files in the one form that there is of each.')
    .argument('<files...>', 'policy files (YAML), or directories of them')
    .addOption(
      new Option('--check', 'name files in another form, and change none').conflicts('write'),
    )
    .option('--write', 'replace files in another form')
    .addHelpText('after', EXAMPLES)
    .action((files: string[], options: FormatOptions) => run(io, files, options));
}

async function run(io: Io, files: readonly string[], options: FormatOptions): Promise<void> {
  const { check = false, write = false, output } = options;
  if (write && files.includes('-'))
    throw new TrustplaneError('ERR_USAGE', '--write needs a file; standard input is none');
  const texts = await findNamedTexts(files);
  if (!check && !write && texts.length > 1)
    throw new TrustplaneError('ERR_USAGE', 'several files need --write or --check');
  const formatted = await Promise.all(texts.map(format));
  const changed = formatted.filter(({ isChanged }) => isChanged);
  if (!check && !write) return printOne(io, output, formatted);
  if (check && changed.length > 0)
    throw new TrustplaneError(
      'ERR_POLICY_FORMAT',
      changed.map(({ file }) => `${file}: is in another form; see policy fmt --write`).join('\n'),
    );
  if (write) for (const one of changed) await replace(one);
  const value = formatted.map(({ file, isChanged }) => ({ file, changed: isChanged }));
  const said = changed.map(({ file }) => `${file}: written`);
  print(
    io,
    output,
    { files: value },
    [...said, count(formatted.length, changed.length)].join('\n'),
  );
}

async function format({ file, read }: PolicyText): Promise<FormattedFile> {
  const { formatPolicy } = await import('../app/format-policy.ts');
  const bytes = await read();
  const text = formatPolicy(file, bytes);
  return { file, text, isChanged: !Buffer.from(text).equals(bytes) };
}

function printOne(
  io: Io,
  output: OutputOptions['output'],
  formatted: readonly FormattedFile[],
): void {
  if (output === 'text') for (const { text } of formatted) io.out(text);
  else
    for (const { file, isChanged, text } of formatted)
      print(io, output, { files: [{ file, changed: isChanged, text }] }, '');
}

async function replace({ file, text }: FormattedFile): Promise<void> {
  const { writeFileAtomic } = await import('../ops/index.ts');
  // A link stays one.
  const place = await realpath(file);
  const { mode } = await stat(place);
  await writeFileAtomic(place, Buffer.from(text), { mode: mode & PERMISSIONS });
}

function count(all: number, changed: number): string {
  return `${all - changed} in form already, ${changed} changed`;
}
