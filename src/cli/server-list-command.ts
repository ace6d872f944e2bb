import { Command } from 'commander';
import type { ServerView } from '../client/servers-client.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { formatTable } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createServersClient }) => createServersClient);

const EXAMPLES = `
Examples:
  trustplane server list
  trustplane server list --output json | jq -r '.servers[] | select(.state != "live") | .id'`;

export function serverListCommand(io: Io): Command {
  return withAdminSocket(new Command('list'), io)
    .description(
      'List the servers of the control plane: where each is, since when, when it was last heard of, and what it signs with.',
    )
    .addHelpText('after', EXAMPLES)
    .action((options: AdminOptions) => listServers(io, options));
}

async function listServers(io: Io, options: AdminOptions): Promise<void> {
  await withClient(options, async (client) => {
    const servers = await client.list();
    print(io, options.output, { servers }, formatServers(servers));
  });
}

function formatServers(servers: readonly ServerView[]): string {
  return formatTable(
    ['ID', 'State', 'Address', 'Since', 'Last seen', 'Clock', 'Signs with', 'Authorities'],
    servers.map((server) => [
      server.self ? `${server.id} (this one)` : server.id,
      server.state,
      server.address ?? '-',
      server.startedAt ?? '-',
      server.lastSeenAt ?? '-',
      server.self || server.state !== 'live' ? '-' : formatAhead(server.clockAheadMs),
      server.x509Authorities.find(({ slot }) => slot === 'active')?.authorityId ?? '-',
      `${server.x509Authorities.length} X.509, ${server.jwtAuthorities.length} JWT`,
    ]),
  );
}

/** What is slow to be heard of looks as if it were behind, so less than a second says nothing. */
function formatAhead(aheadMs: number): string {
  const seconds = Math.round(aheadMs / 1_000);
  return seconds === 0 ? 'same' : `${seconds > 0 ? '+' : ''}${seconds}s`;
}
