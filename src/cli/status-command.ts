import { Command } from 'commander';
import type { ServerStatus } from '../client/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { formatFields, formatTable } from './table.ts';

export function statusCommand(io: Io): Command {
  return withAdminSocket(new Command('status'), io)
    .description('Show what the server is doing: authorities and their slots, entries, health.')
    .addHelpText('after', '\nExamples:\n  trustplane status\n  trustplane status --output json')
    .action((options: AdminOptions) => showStatus(io, options));
}

async function showStatus(io: Io, options: AdminOptions): Promise<void> {
  const [{ createAdminClient }, { formatDuration }] = await Promise.all([
    import('../client/index.ts'),
    import('../ops/duration.ts'),
  ]);
  const client = createAdminClient(options.adminSocket);
  try {
    const status = await client.status();
    const fields = formatFields([
      ['Trust domain', status.trustDomain],
      ['Version', status.version],
      ['Up for', formatDuration(status.uptimeSeconds * 1_000)],
      ['Entries', String(status.entries)],
      ['Health', status.healthy ? 'healthy' : status.problems.join('; ')],
    ]);
    const authorities = formatTable(
      ['kind', 'slot', 'authority', 'valid until'],
      [
        ...status.authorities.map((authority) => ['X.509', ...cellsOf(authority)]),
        ...status.jwtAuthorities.map((authority) => ['JWT', ...cellsOf(authority)]),
      ],
    );
    print(io, options.output, status, `${fields}\n\n${authorities}`);
  } finally {
    client.close();
  }
}

function cellsOf({ slot, authorityId, expiresAt }: ServerStatus['authorities'][number]): string[] {
  return [slot, authorityId, expiresAt];
}
