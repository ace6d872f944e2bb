import { Command, Option } from 'commander';
import type { AgentView } from '../client/index.ts';
import { systemClock } from '../ops/system-clock.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { agentRunCommand } from './agent-run-command.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, timeoutMs, withAdminSocket } from './options.ts';
import { formatFields, formatTable } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createAgentClient }) => createAgentClient);

interface FilterOptions extends AdminOptions {
  readonly attestationType?: string;
  readonly banned?: boolean;
}

interface PurgeOptions extends AdminOptions {
  readonly expiredFor: number;
  readonly dryRun?: boolean;
}

const ID = 'spiffe://example.org/spire/agent/join_token/0f3c';

const EXAMPLES = `
Examples:
  trustplane agent run --server server.example:8081 --bundle-file bundle.pem --join-token 0f3c
  trustplane agent list
  trustplane agent show ${ID}
  trustplane agent ban ${ID}`;

const PURGE_EXAMPLES = `
Examples:
  trustplane agent purge --dry-run
  trustplane agent purge --expired-for 7d`;

export function agentCommand(io: Io): Command {
  return new Command('agent')
    .description('Run the agent of this host; list, show, count, ban, evict and purge agents.')
    .addHelpText('after', EXAMPLES)
    .addCommand(agentRunCommand(io))
    .addCommand(listCommand(io))
    .addCommand(showCommand(io))
    .addCommand(countCommand(io))
    .addCommand(banCommand(io))
    .addCommand(evictCommand(io))
    .addCommand(purgeCommand(io));
}

function withAgentFilter(command: Command): Command {
  return command
    .option('--attestation-type <type>', 'attested this way, such as join_token')
    .option('--banned', 'banned ones alone')
    .option('--no-banned', 'all but banned ones');
}

function listCommand(io: Io): Command {
  return withAgentFilter(withAdminSocket(new Command('list'), io))
    .description('List attested agents.')
    .addHelpText('after', '\nExamples:\n  trustplane agent list\n  trustplane agent list --banned')
    .action((options: FilterOptions) =>
      withClient(options, async (client) => {
        const agents = await client.list(options);
        print(io, options.output, { agents }, formatList(agents));
      }),
    );
}

function showCommand(io: Io): Command {
  return withAdminSocket(new Command('show'), io)
    .description('Show an attested agent.')
    .argument('<id>', 'SPIFFE ID of the agent')
    .addHelpText('after', `\nExamples:\n  trustplane agent show ${ID}`)
    .action((id: string, options: AdminOptions) =>
      withClient(options, async (client) => {
        const agent = await client.get(SpiffeId.parse(id));
        print(io, options.output, agent, describeAgent(agent));
      }),
    );
}

function countCommand(io: Io): Command {
  return withAgentFilter(withAdminSocket(new Command('count'), io))
    .description('Count attested agents.')
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane agent count\n  trustplane agent count --banned',
    )
    .action((options: FilterOptions) =>
      withClient(options, async (client) => {
        const count = await client.count(options);
        print(io, options.output, { count }, String(count));
      }),
    );
}

function banCommand(io: Io): Command {
  return withAdminSocket(new Command('ban'), io)
    .description('Ban an agent: it can do nothing, and not attest again, until it is evicted.')
    .argument('<id>', 'SPIFFE ID of the agent')
    .addHelpText('after', `\nExamples:\n  trustplane agent ban ${ID}`)
    .action((id: string, options: AdminOptions) =>
      withClient(options, async (client) => {
        await client.ban(SpiffeId.parse(id));
        print(io, options.output, { banned: id }, `banned ${id}`);
      }),
    );
}

function evictCommand(io: Io): Command {
  return withAdminSocket(new Command('evict'), io)
    .description('Evict an agent: its SVIDs are refused at once. It may attest again if it can.')
    .argument('<id>', 'SPIFFE ID of the agent')
    .addHelpText('after', `\nExamples:\n  trustplane agent evict ${ID}`)
    .action((id: string, options: AdminOptions) =>
      withClient(options, async (client) => {
        await client.evict(SpiffeId.parse(id));
        print(io, options.output, { evicted: id }, `evicted ${id}`);
      }),
    );
}

function purgeCommand(io: Io): Command {
  return withAdminSocket(new Command('purge'), io)
    .description('Evict agents that expired long ago, are not banned and can attest again.')
    .addOption(
      new Option('--expired-for <duration>', 'how long ago at least')
        .argParser(timeoutMs)
        .default(2_592_000_000, '30d'),
    )
    .option('--dry-run', 'only show which')
    .addHelpText('after', PURGE_EXAMPLES)
    .action((options: PurgeOptions) =>
      withClient(options, async (client) => {
        const expiresBefore = systemClock.now() - options.expiredFor;
        const meant = await client.list({ expiresBefore, banned: false, canReattest: true });
        const purged = meant.map(({ id }) => id);
        if (options.dryRun !== true)
          for (const id of purged) await client.evict(SpiffeId.parse(id));
        const text = purged.length === 0 ? 'no agents' : purged.join('\n');
        print(io, options.output, { purged, dryRun: options.dryRun ?? false }, text);
      }),
    );
}

function formatList(agents: readonly AgentView[]): string {
  if (agents.length === 0) return 'no agents';
  return formatTable(
    ['id', 'type', 'valid until', 'state'],
    agents.map((agent) => [agent.id, agent.attestationType, agent.expiresAt, stateOf(agent)]),
  );
}

function describeAgent(agent: AgentView): string {
  return formatFields([
    ['ID', agent.id],
    ['Attested by', agent.attestationType],
    ['State', stateOf(agent)],
    ['Serial number', agent.serialNumber],
    ['Valid until', agent.expiresAt],
    ['Can attest again', agent.canReattest ? 'yes' : 'no'],
    ['Version', agent.version],
    ['Selectors', agent.selectors.join(', ')],
  ]);
}

function stateOf({ banned, expiresAt }: AgentView): string {
  if (banned) return 'banned';
  return Date.parse(expiresAt) < systemClock.now() ? 'expired' : 'attested';
}
