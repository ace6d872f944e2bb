import path from 'node:path';
import { Command } from 'commander';
import type { PassphraseSource } from '../app/passphrase.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { formatFields } from './table.ts';
import { clientOf } from './with-client.ts';

interface BackupOptions extends AdminOptions, PassphraseFlags {
  readonly file: string;
  readonly includeKeys?: boolean;
  readonly force?: boolean;
}

/** Flags that name the passphrase of a backup's private keys. */
export interface PassphraseFlags {
  readonly passphraseFile?: string;
  readonly passphraseVariable?: string;
}

const EXAMPLES = `
Examples:
  trustplane backup --file state.backup
  trustplane backup --file state.backup --include-keys --passphrase-file backup.pass

The server goes on running. Without --include-keys the file has no private key: who restores it gets new
authorities. It has all else, so keep it as you keep the data directory.`;

const withClient = clientOf(({ createBackupClient }) => createBackupClient);

export function backupCommand(io: Io): Command {
  return withPassphrase(withAdminSocket(new Command('backup'), io))
    .description('Take a backup of all that the control plane has, while it runs.')
    .requiredOption('--file <file>', 'where it is written (0600)')
    .option('--include-keys', "also this server's private keys, sealed with a passphrase")
    .option('--force', 'replace the file')
    .addHelpText('after', EXAMPLES)
    .action((options: BackupOptions) => backup(io, options));
}

export function withPassphrase(command: Command): Command {
  return command
    .option('--passphrase-file <file>', 'file with the passphrase of the private keys')
    .option('--passphrase-variable <name>', 'environment variable with it');
}

/** @throws TrustplaneError ERR_USAGE */
export function passphraseOf(options: PassphraseFlags): PassphraseSource | undefined {
  const { passphraseFile: file, passphraseVariable: variable } = options;
  if (file !== undefined && variable !== undefined) {
    const message = 'expected one of --passphrase-file and --passphrase-variable';
    throw new TrustplaneError('ERR_USAGE', message);
  }
  if (file !== undefined) return { file: path.resolve(file) };
  return variable === undefined ? undefined : { variable };
}

async function backup(io: Io, options: BackupOptions): Promise<void> {
  const { file, includeKeys = false, force = false, output } = options;
  const source = passphraseOf(options);
  if (includeKeys !== (source !== undefined)) {
    const message =
      'expected --include-keys together with --passphrase-file or --passphrase-variable';
    throw new TrustplaneError('ERR_USAGE', message);
  }
  const [{ readPassphrase }, { saveBackup }] = await Promise.all([
    import('../app/passphrase.ts'),
    import('../app/save-backup.ts'),
  ]);
  const passphrase = await readPassphrase(source, io.env);
  await withClient(options, async (client) => {
    const saved = await saveBackup(file, client.createBackup(passphrase), force);
    const buckets = Object.fromEntries(
      [...saved.buckets].map(([name, { records }]) => [name, records.length]),
    );
    const { trustDomain, bytes } = saved;
    const createdAt = new Date(saved.createdAt).toISOString();
    const keys = saved.keys?.files.size ?? 0;
    const text = formatFields([
      ['File', file],
      ['Trust domain', trustDomain],
      ['Created', createdAt],
      [
        'Records',
        Object.entries(buckets)
          .map(([name, count]) => `${count} ${name}`)
          .join(', '),
      ],
      ['Private keys', keys === 0 ? 'none' : String(keys)],
    ]);
    print(io, output, { file, trustDomain, createdAt, bytes, buckets, keys }, text);
  });
}
