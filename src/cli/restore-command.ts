import { Command } from 'commander';
import { type PassphraseFlags, passphraseOf, withPassphrase } from './backup-command.ts';
import { type Io, print } from './io.ts';
import { type OutputOptions, withOutput } from './options.ts';
import { formatFields } from './table.ts';

interface RestoreOptions extends OutputOptions, PassphraseFlags {
  readonly file: string;
  readonly config?: string;
  readonly dataDir?: string;
  readonly trustDomain?: string;
  readonly force?: boolean;
}

const EXAMPLES = `
Examples:
  trustplane restore --file state.backup --config server.yaml
  trustplane restore --file state.backup --config server.yaml --force --passphrase-file backup.pass

The server must not be running. What the journal in the data directory knows of revocations, bans and spent
tokens stays so, whatever the backup says.`;

export function restoreCommand(io: Io): Command {
  return withPassphrase(withOutput(new Command('restore')))
    .description(
      'Put the state of a backup into the data directory of a server that is not running.',
    )
    .requiredOption('--file <file>', 'the backup')
    .option('--config <file>', 'configuration file (YAML) of the server')
    .option('--data-dir <folder>', 'data directory of the server')
    .option('--trust-domain <name>', 'trust domain (default: example.org)')
    .option('--force', 'give up the state that is there')
    .addHelpText('after', EXAMPLES)
    .action((options: RestoreOptions) => restore(io, options));
}

async function restore(io: Io, options: RestoreOptions): Promise<void> {
  const passphrase = passphraseOf(options);
  const [{ loadConfig }, { restoreState }] = await Promise.all([
    import('../app/load-config.ts'),
    import('../app/restore-state.ts'),
  ]);
  const { config: file, dataDir, trustDomain } = options;
  const { config } = loadConfig({ config: file, dataDir, trustDomain }, io.uid, io.env);
  const isForced = options.force === true;
  const restored = await restoreState(config, { file: options.file, isForced, passphrase }, io.env);
  const createdAt = new Date(restored.createdAt).toISOString();
  const counts = restored.buckets.map(({ bucket, records }) => `${records} ${bucket}`);
  const text = formatFields([
    ['Data directory', config.dataDir],
    ['Backup of', createdAt],
    ['Records', counts.join(', ')],
    [
      'Put right',
      `${restored.corrected} records that changed after the backup and must not go back`,
    ],
    [
      'Private keys',
      restored.keys === 0 ? 'none; new authorities are made' : String(restored.keys),
    ],
  ]);
  print(io, options.output, { ...restored, createdAt, dataDir: config.dataDir }, text);
}
