import { Command, Option } from 'commander';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type OutputOptions, withOutput } from './options.ts';

const types = ['sqlite', 'jetstream'] as const;

interface MigrateOptions extends OutputOptions {
  readonly config: string;
  readonly from: (typeof types)[number];
  readonly to: (typeof types)[number];
  readonly force?: boolean;
}

const EXAMPLES = `
Examples:
  trustplane store migrate --config server.yaml --from sqlite --to jetstream
  trustplane store migrate --config server.yaml --from jetstream --to sqlite

No server may be running. The configuration names the store that servers share, whichever way the state
goes; afterwards server.store says which of the two is used. The other one is marked, and no server starts with it.`;

export function storeCommand(io: Io): Command {
  return new Command('store')
    .description('Where the state of a control plane is kept.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      withOutput(new Command('migrate'))
        .description('Move the whole state from one store to another.')
        .requiredOption('--config <file>', 'configuration file (YAML)')
        .addOption(new Option('--from <store>', 'where it is').choices(types).makeOptionMandatory())
        .addOption(new Option('--to <store>', 'where it goes').choices(types).makeOptionMandatory())
        .option('--force', 'give up what is in the other store')
        .addHelpText('after', EXAMPLES)
        .action((options: MigrateOptions) => migrate(io, options)),
    );
}

async function migrate(io: Io, options: MigrateOptions): Promise<void> {
  const { from, to, output, force = false } = options;
  if (from === to) throw new TrustplaneError('ERR_USAGE', '--from and --to are the same store');
  const [{ loadConfig }, { migrateStore }] = await Promise.all([
    import('../app/load-config.ts'),
    import('../app/migrate-store.ts'),
  ]);
  const { config } = loadConfig({ config: options.config }, io.uid, io.env);
  const buckets = await migrateStore(config, {
    from,
    isForced: force,
    onProgress: ({ bucket, records, sha256 }) => {
      const line = `  ${bucket}: ${records} records, SHA-256 ${sha256.slice(0, 16)}…\n`;
      if (output === 'text') io.out(line);
    },
  });
  const text = `the state is in ${to} now; say so in server.store before a server starts`;
  print(io, output, { from, to, buckets }, text);
}
