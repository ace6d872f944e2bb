import { Command } from 'commander';
import type { AdminClient, EntryView, SpiffeIdMessage } from '../client/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import {
  buildFilter,
  buildMessage,
  type EntryFilter,
  type EntryFlags,
  withFields,
  withFilter,
} from './entry-flags.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, collect, withAdminSocket } from './options.ts';
import { formatFields } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createAdminClient }) => createAdminClient);

const EXAMPLES = `
Examples:
  trustplane entry create --spiffe-id spiffe://example.org/web --selector unix:uid:1000
  trustplane entry show
  trustplane entry delete 1f0c`;

const CREATE_EXAMPLES = `
Examples:
  trustplane entry create --spiffe-id spiffe://example.org/web --selector unix:uid:1000
  trustplane entry create --spiffe-id spiffe://example.org/db --selector unix:user:postgres --dns db.internal --x509-svid-ttl 30m
  trustplane entry create --spiffe-id spiffe://example.org/web --selector unix:uid:1000 --output json`;

const SHOW_EXAMPLES = `
Examples:
  trustplane entry show
  trustplane entry show --spiffe-id spiffe://example.org/web
  trustplane entry show --selector unix:uid:1000 --match superset --output json`;

export function entryCommand(io: Io): Command {
  return new Command('entry')
    .description('Create, show, update, delete and count registration entries.')
    .addHelpText('after', EXAMPLES)
    .addCommand(createCommand(io))
    .addCommand(showCommand(io))
    .addCommand(updateCommand(io))
    .addCommand(deleteCommand(io))
    .addCommand(countCommand(io));
}

function createCommand(io: Io): Command {
  return withFields(withAdminSocket(new Command('create'), io))
    .description(
      'Create a registration entry: workloads that show all the selectors get the SPIFFE ID.',
    )
    .addHelpText('after', CREATE_EXAMPLES)
    .action((flags: EntryFlags) =>
      withClient(flags, async (client) => {
        if (flags.spiffeId === undefined) throw required('--spiffe-id');
        if (flags.selector === undefined) throw required('--selector');
        const given = buildMessage(flags, io);
        const parent = given.parent_id ? {} : await defaultParent(client, flags.node === true);
        const entry = await client.createEntry({ ...given, ...parent });
        print(io, flags.output, entry, describeEntry(entry));
      }),
    );
}

function showCommand(io: Io): Command {
  return withFilter(withAdminSocket(new Command('show').alias('list'), io))
    .description('Show registration entries, all or those that match every filter given.')
    .argument('[id]', 'id of one entry')
    .addHelpText('after', SHOW_EXAMPLES)
    .action((id: string | undefined, filter: EntryFilter) =>
      withClient(filter, async (client) => {
        const one = id ?? filter.entryId;
        const entries =
          one === undefined
            ? await client.listEntries(buildFilter(filter))
            : [await client.getEntry(one)];
        const text = entries.length === 0 ? 'no entries' : entries.map(describeEntry).join('\n\n');
        print(io, filter.output, { entries }, text);
      }),
    );
}

function updateCommand(io: Io): Command {
  return withFields(withAdminSocket(new Command('update'), io))
    .description('Change a registration entry; what no flag names stays as it is.')
    .argument('[id]', 'id of the entry')
    .option('--no-admin', 'take the server API away')
    .option('--no-downstream', 'no longer a downstream server')
    .option('--no-store-svid', 'no longer for an SVID store')
    .option('--no-jwt-svid-include-jti', 'JWT-SVIDs without jti')
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane entry update 1f0c --x509-svid-ttl 30m\n  trustplane entry update --entry-id 1f0c --selector unix:uid:1001',
    )
    .action((id: string | undefined, flags: EntryFlags) =>
      withClient(flags, async (client) => {
        const target = id ?? flags.entryId;
        if (target === undefined) throw required('the id of the entry');
        const given = buildMessage(flags, io);
        const parent = flags.node === true ? await defaultParent(client, true) : {};
        const entry = await client.updateEntry({ ...given, ...parent, id: target });
        print(io, flags.output, entry, describeEntry(entry));
      }),
    );
}

function deleteCommand(io: Io): Command {
  return withAdminSocket(new Command('delete'), io)
    .description(
      'Delete registration entries; their identities are taken from the running workloads at once.',
    )
    .argument('[ids...]', 'ids of the entries')
    .option('--entry-id <id>', 'id of an entry (repeatable)', collect)
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane entry delete 1f0c\n  trustplane entry delete --entry-id 1f0c --entry-id 77ab',
    )
    .action(
      (ids: readonly string[], options: AdminOptions & { readonly entryId?: readonly string[] }) =>
        withClient(options, async (client) => {
          const all = [...ids, ...(options.entryId ?? [])];
          if (all.length === 0) throw required('the id of at least one entry');
          await client.deleteEntries(all);
          print(io, options.output, { deleted: all }, `deleted ${all.join(', ')}`);
        }),
    );
}

function countCommand(io: Io): Command {
  return withFilter(withAdminSocket(new Command('count'), io))
    .description('Count registration entries, all or those that match every filter given.')
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane entry count\n  trustplane entry count --downstream',
    )
    .action((filter: EntryFilter) =>
      withClient(filter, async (client) => {
        const count = await client.countEntries(buildFilter(filter));
        print(io, filter.output, { count }, `${count} ${count === 1 ? 'entry' : 'entries'}`);
      }),
    );
}

const NO_PARENT =
  'this server has no agent of its own: say with --parent-id below which agent or node alias the entry is (`trustplane agent list` shows agents), or make a node alias with --node';

/** Below the agent in `up`; a node alias below the server. @throws TrustplaneError ERR_USAGE without either */
async function defaultParent(
  client: AdminClient,
  isNodeAlias: boolean,
): Promise<{ parent_id: SpiffeIdMessage }> {
  const { trustDomain, hasAgent } = await client.status();
  if (!isNodeAlias && !hasAgent) throw new TrustplaneError('ERR_USAGE', NO_PARENT);
  const path = `/spire/${isNodeAlias ? 'server' : 'agent/local/up'}`;
  return { parent_id: { trust_domain: trustDomain, path } };
}

function required(what: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', `${what} is required (see --help)`);
}

function describeEntry(entry: EntryView): string {
  const ttl = (seconds: number): string => (seconds === 0 ? 'default' : `${seconds}s`);
  return formatFields([
    ['Entry ID', entry.id],
    ['SPIFFE ID', entry.spiffeId],
    ['Parent ID', entry.parentId],
    ['Selectors', entry.selectors.join(', ')],
    ['X509-SVID TTL', ttl(entry.x509SvidTtl)],
    ['JWT-SVID TTL', ttl(entry.jwtSvidTtl)],
    ['Federates with', entry.federatesWith.join(', ')],
    ['DNS names', entry.dnsNames.join(', ')],
    ['Hint', entry.hint],
    [
      'Flags',
      [
        entry.admin ? 'admin' : '',
        entry.downstream ? 'downstream' : '',
        entry.storeSvid ? 'storeSvid' : '',
        entry.jwtSvidIncludeJti ? 'jwtSvidIncludeJti' : '',
      ]
        .filter(Boolean)
        .join(', '),
    ],
    ['Expires', entry.expiresAt ?? ''],
    ['Revision', String(entry.revisionNumber)],
    ['Created', entry.createdAt ?? ''],
  ]);
}
