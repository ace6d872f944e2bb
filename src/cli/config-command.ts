import { Command, Option } from 'commander';
import type { Role } from '../app/check-config.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type OutputOptions, withOutput } from './options.ts';

interface CheckOptions extends OutputOptions {
  readonly config?: string;
  readonly role: Role;
}

const CHECK_EXAMPLES = `
Examples:
  trustplane config check trustplane.yaml
  trustplane config check --role agent --output json agent.yaml

Each problem is one line: file:line:column: path: what is wrong. Exit code 2 if there is any.`;

export function configCommand(io: Io): Command {
  const command = new Command('config')
    .description('Check configuration files, and print their JSON Schema.')
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane config check trustplane.yaml\n  trustplane config schema > trustplane.schema.json',
    );
  command.addCommand(
    withOutput(new Command('check'))
      .description(
        'Check a configuration file without starting anything, and show what it comes to, without secrets.',
      )
      .argument('[file]', 'configuration file (YAML)')
      .option('--config <file>', 'the same, by the name it has in `trustplane up`')
      .addOption(
        new Option('--role <role>', 'what it is to run')
          .choices(['up', 'server', 'agent', 'authz'])
          .default('up'),
      )
      .addHelpText('after', CHECK_EXAMPLES)
      .action((file: string | undefined, options: CheckOptions) =>
        check(io, file ?? options.config, options),
      ),
  );
  command.addCommand(
    new Command('schema')
      .description('Print the JSON Schema of the configuration file.')
      .addHelpText('after', '\nExamples:\n  trustplane config schema > trustplane.schema.json')
      .action(async () => {
        const { configJsonSchema } = await import('../app/config.ts');
        io.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
      }),
  );
  return command;
}

async function check(io: Io, file: string | undefined, options: CheckOptions): Promise<void> {
  if (file === undefined)
    throw new TrustplaneError('ERR_USAGE', 'a configuration file is required (see --help)');
  const { checkConfig } = await import('../app/check-config.ts');
  const checked = checkConfig(file, options.role, io.uid, io.env);
  const said = Object.entries(checked.options).map(([name, value]) => `  ${name}: ${show(value)}`);
  const notes = checked.notes.map((note) => `  note: ${note}`);
  const text = [`${file}: the configuration is valid`, ...said, ...notes].join('\n');
  print(io, options.output, { valid: true, file, ...checked }, text);
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
