import { Command, Option } from 'commander';
import { SpiffeId } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, ttlSeconds, withAdminSocket } from './options.ts';
import { formatFields } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createAgentClient }) => createAgentClient);

interface GenerateOptions extends AdminOptions {
  readonly ttl: number;
  readonly spiffeId?: string;
}

const EXAMPLES = `
Examples:
  trustplane token generate
  trustplane token generate --ttl 1h --spiffe-id spiffe://example.org/node/web-1
  trustplane token generate --output json | jq -r .token`;

export function tokenCommand(io: Io): Command {
  return new Command('token')
    .description('Make tokens that agents join with.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      withAdminSocket(new Command('generate'), io)
        .description('Make a join token: the one agent that shows it first is attested with it.')
        .addOption(
          new Option('--ttl <duration>', 'how long it can be used')
            .argParser(ttlSeconds)
            .default(600, '10m'),
        )
        .option('--spiffe-id <id>', 'what the agent is known as as well, for entries below it')
        .addHelpText('after', EXAMPLES)
        .action((options: GenerateOptions) => generate(io, options)),
    );
}

async function generate(io: Io, { ttl, spiffeId, adminSocket, output }: GenerateOptions) {
  const agentId = spiffeId === undefined ? undefined : SpiffeId.parse(spiffeId);
  await withClient({ adminSocket, output }, async (client) => {
    const made = await client.createJoinToken(ttl, agentId);
    const text = formatFields([
      ['Token', made.token],
      ['Valid until', made.expiresAt],
      ['SPIFFE ID', spiffeId ?? ''],
    ]);
    print(io, output, { ...made, spiffeId: spiffeId ?? null }, text);
  });
}
