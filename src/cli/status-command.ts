import { Command } from 'commander';
import type { ServerStatus } from '../client/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, type WorkloadOptions, withAdminSocket, withSocket } from './options.ts';
import { formatFields, formatTable } from './table.ts';

interface StatusOptions extends AdminOptions, WorkloadOptions {
  readonly agent?: boolean;
}

const EXAMPLES = `
Examples:
  trustplane status
  trustplane status --agent                           of the agent of this host
  trustplane status --output json`;

export function statusCommand(io: Io): Command {
  return withSocket(withAdminSocket(new Command('status'), io), io)
    .description('Show what the server is doing, or the agent: authorities, entries, health.')
    .option('--agent', 'of the agent at --socket')
    .addHelpText('after', EXAMPLES)
    .action((options: StatusOptions) =>
      options.agent === true ? showAgent(io, options) : showStatus(io, options),
    );
}

async function showAgent(io: Io, options: WorkloadOptions): Promise<void> {
  const [{ fetchAgentStatus }, { formatDuration }, { resolveUnixSocket }] = await Promise.all([
    import('../client/index.ts'),
    import('../ops/duration.ts'),
    import('./endpoint.ts'),
  ]);
  const status = await fetchAgentStatus(resolveUnixSocket(io, options.socket));
  const how = status.isTold ? 'the server tells; ' : 'the server is asked; ';
  const changes = `${status.server === '' ? '' : how}last word ${status.updatedAt}`;
  const fields = formatFields([
    ['Trust domain', status.trustDomain],
    ['Version', status.version],
    ['Up for', formatDuration(status.uptimeSeconds * 1_000)],
    ['Agent', status.agentId === '' ? 'has no valid SVID' : status.agentId],
    ['Valid until', status.expiresAt],
    ['Server', status.server === '' ? 'none answers' : status.server],
    ['Changes', status.updatedAt === '' ? '' : changes],
    ['Entries', String(status.entries)],
    ...authzFields(status),
    ['Health', status.healthy ? 'healthy' : status.problems.join('; ')],
  ]);
  print(io, options.output, status, fields);
}

async function showStatus(io: Io, options: AdminOptions): Promise<void> {
  const [{ createAdminClient }, { formatDuration }] = await Promise.all([
    import('../client/index.ts'),
    import('../ops/duration.ts'),
  ]);
  const client = createAdminClient(options.adminSocket);
  try {
    const status = await client.status();
    const endpoint = status.bundleEndpoint;
    const fields = formatFields([
      ['Trust domain', status.trustDomain],
      ['Version', status.version],
      ['Up for', formatDuration(status.uptimeSeconds * 1_000)],
      ['Entries', String(status.entries)],
      ['Bundle endpoint', endpoint === null ? '' : `${endpoint.url} (${endpoint.profile})`],
      ...authzFields(status),
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

/** Where proxies ask, and by which policies. */
function authzFields({ details }: Pick<ServerStatus, 'details'>): [string, string][] {
  return [
    ['ext_authz', details['authz'] ?? ''],
    ['Policies', details['policies'] ?? ''],
    ['Envoys', details['rbac'] ?? ''],
  ];
}

function cellsOf({ slot, authorityId, expiresAt }: ServerStatus['authorities'][number]): string[] {
  return [slot, authorityId, expiresAt];
}
