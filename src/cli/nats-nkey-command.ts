import path from 'node:path';
import { Command } from 'commander';
import { type Io, print } from './io.ts';
import { type OutputOptions, withOutput } from './options.ts';

interface NkeyOptions extends OutputOptions {
  readonly seedFile: string;
}

const EXAMPLES = `
Examples:
  trustplane nats create-nkey --seed-file /etc/trustplane/store.nk`;

export function natsNkeyCommand(io: Io): Command {
  return withOutput(new Command('create-nkey'))
    .description(
      'Make an NKEY to log in to NATS with: the seed in a file (0600), the public key printed.',
    )
    .requiredOption('--seed-file <file>', 'a new file for the seed')
    .addHelpText('after', EXAMPLES)
    .action((options: NkeyOptions) => createNkey(io, options));
}

async function createNkey(io: Io, options: NkeyOptions): Promise<void> {
  const { createNkeyFile } = await import('../app/nats-files.ts');
  const file = path.resolve(options.seedFile);
  const publicKey = await createNkeyFile(file);
  print(io, options.output, { publicKey, seedFile: file }, publicKey);
}
