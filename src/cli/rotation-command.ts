import { Command } from 'commander';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { formatRotations } from './rotation-text.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createAuthorityClient }) => createAuthorityClient);

const EXAMPLES = `
Examples:
  trustplane rotation status
  trustplane rotation status --output json | jq -r '.rotations[].gate.behind[]?.who'`;

export function rotationCommand(io: Io): Command {
  return new Command('rotation')
    .description('The rotation of the authorities.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      withAdminSocket(new Command('status'), io)
        .description(
          'Show what each slot holds, which step is next, and who is behind: who does not know a prepared authority yet, and why.',
        )
        .addHelpText('after', EXAMPLES)
        .action((options: AdminOptions) => showStatus(io, options)),
    );
}

async function showStatus(io: Io, options: AdminOptions): Promise<void> {
  await withClient(options, async (client) => {
    const rotations = await client.rotations();
    print(io, options.output, { rotations }, formatRotations(rotations));
  });
}
