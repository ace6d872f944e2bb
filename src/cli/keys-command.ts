import path from 'node:path';
import { Command } from 'commander';
import type { PassphraseSource } from '../app/passphrase.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type OutputOptions, withOutput } from './options.ts';

interface ResealOptions extends OutputOptions {
  readonly config?: string;
  readonly dataDir?: string;
  readonly toPassphraseFile?: string;
  readonly toPassphraseVariable?: string;
  readonly toKeyFile?: boolean;
}

const EXAMPLES = `
Examples:
  trustplane keys reseal --config server.yaml --to-passphrase-file /etc/trustplane/passphrase
  trustplane keys reseal --config server.yaml --to-key-file

The server must not be running. Say the new passphrase in server.ca.sealPassphrase afterwards. When it
is interrupted, do it again with the same configuration.`;

export function keysCommand(io: Io): Command {
  return new Command('keys')
    .description('The private keys of authorities on disk.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      withOutput(new Command('reseal'))
        .description('Seal the private keys of a server anew, under another passphrase or none.')
        .option('--config <file>', 'configuration file (YAML), as the keys are sealed now')
        .option('--data-dir <folder>', 'data directory of the server')
        .option('--to-passphrase-file <file>', 'file with the new passphrase')
        .option('--to-passphrase-variable <name>', 'environment variable with the new passphrase')
        .option('--to-key-file', 'without a passphrase')
        .addHelpText('after', EXAMPLES)
        .action((options: ResealOptions) => reseal(io, options)),
    );
}

async function reseal(io: Io, options: ResealOptions): Promise<void> {
  const to = parseTarget(options);
  const { loadConfig } = await import('../app/load-config.ts');
  const { resealServerKeys } = await import('../app/reseal.ts');
  const { config: file, dataDir } = options;
  const { config } = loadConfig({ config: file, dataDir }, io.uid, io.env);
  const count = await resealServerKeys(config, to, io.env);
  const sealedWith = to === undefined ? 'key file' : 'passphrase';
  const text = `${count} keys are sealed anew, with a ${sealedWith}`;
  print(io, options.output, { keys: count, sealedWith }, text);
}

/** @throws TrustplaneError ERR_USAGE */
function parseTarget(options: ResealOptions): PassphraseSource | undefined {
  const { toPassphraseFile: file, toPassphraseVariable: variable, toKeyFile = false } = options;
  const given = [file, variable, toKeyFile || undefined].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw new TrustplaneError(
      'ERR_USAGE',
      'expected one of --to-passphrase-file, --to-passphrase-variable and --to-key-file',
    );
  }
  if (file !== undefined) return { file: path.resolve(file) };
  return variable === undefined ? undefined : { variable };
}
