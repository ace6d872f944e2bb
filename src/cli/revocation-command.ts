import { Command } from 'commander';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { revocationCrlCommand } from './revocation-crl-command.ts';
import { formatRevocations } from './revocation-text.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createRevocationClient }) => createRevocationClient);

interface ListOptions extends AdminOptions {
  readonly active?: boolean;
}

const EXAMPLES = `
Examples:
  trustplane revocation list
  trustplane revocation list --active --output json | jq -r '.suspensions[].value'`;

export function revocationCommand(io: Io): Command {
  return new Command('revocation')
    .description('Show what is revoked and suspended, and write it as CRLs.')
    .addHelpText('after', EXAMPLES)
    .addCommand(listCommand(io))
    .addCommand(revocationCrlCommand(io));
}

function listCommand(io: Io): Command {
  return withAdminSocket(new Command('list'), io)
    .description('List revocations and suspensions: of whom, since when, by whom, why, until when.')
    .option('--active', 'without suspensions that were lifted, and revocations that have ended')
    .addHelpText('after', EXAMPLES)
    .action((options: ListOptions) =>
      withClient(options, async (client) => {
        const all = await client.list(options.active === true);
        print(io, options.output, all, formatRevocations(all));
      }),
    );
}
