import { Command } from 'commander';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type OutputOptions, withOutput } from './options.ts';

interface CheckOptions extends OutputOptions {
  readonly config?: string;
}

export function configCommand(io: Io): Command {
  const command = new Command('config')
    .description('Check configuration files, and print their JSON Schema.')
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane config check trustplane.yaml\n  trustplane config schema > trustplane.schema.json',
    );
  command.addCommand(
    withOutput(new Command('check'))
      .description('Check a configuration file without starting anything.')
      .argument('[file]', 'configuration file (YAML)')
      .option('--config <file>', 'the same, by the name it has in `trustplane up`')
      .addHelpText(
        'after',
        '\nExamples:\n  trustplane config check trustplane.yaml\n\nEach problem is one line: file:line:column: path: what is wrong. Exit code 2 if there is any.',
      )
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
  const [{ buildConfig, loadConfigFile }, { defaultPaths }] = await Promise.all([
    import('../app/config.ts'),
    import('../app/default-paths.ts'),
  ]);
  const config = buildConfig({}, loadConfigFile(file, io.env), defaultPaths(io.uid, io.env));
  print(
    io,
    options.output,
    { valid: true, file, config: { ...config, trustDomain: config.trustDomain.name } },
    `${file}: the configuration is valid`,
  );
}
