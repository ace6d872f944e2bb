import { Command, Option } from 'commander';
import type { AdminClient, EntryMessage, EntryView } from '../client/index.ts';
import { parseSelector, SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import {
  type AdminOptions,
  collect,
  instantSeconds,
  ttlSeconds,
  withAdminSocket,
} from './options.ts';
import { formatFields } from './table.ts';

interface EntryFlags extends AdminOptions {
  readonly entryId?: string;
  readonly spiffeId?: string;
  readonly parentId?: string;
  readonly node?: boolean;
  readonly selector?: readonly string[];
  readonly x509SvidTtl?: number;
  readonly jwtSvidTtl?: number;
  readonly federatesWith?: readonly string[];
  readonly dns?: readonly string[];
  readonly hint?: string;
  readonly admin?: boolean;
  readonly downstream?: boolean;
  readonly storeSvid?: boolean;
  readonly expiresAt?: number;
}

interface EntryFilter extends AdminOptions {
  readonly entryId?: string;
  readonly spiffeId?: string;
  readonly parentId?: string;
  readonly selector?: readonly string[];
  readonly match: MatchBehavior;
  readonly federatesWith?: readonly string[];
  readonly hint?: string;
  readonly downstream?: boolean;
}

type MatchBehavior = 'exact' | 'subset' | 'superset' | 'any';

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
        const entry = await client.createEntry(await buildMessage(client, flags, true));
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
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane entry update 1f0c --x509-svid-ttl 30m\n  trustplane entry update --entry-id 1f0c --selector unix:uid:1001',
    )
    .action((id: string | undefined, flags: EntryFlags) =>
      withClient(flags, async (client) => {
        const target = id ?? flags.entryId;
        if (target === undefined) throw required('the id of the entry');
        const entry = await client.updateEntry({
          ...(await buildMessage(client, flags, false)),
          id: target,
        });
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

function withFields(command: Command): Command {
  return command
    .option(
      '--entry-id <id>',
      'id of the entry (default on create: derived from parent, SPIFFE ID and selectors)',
    )
    .option('--spiffe-id <id>', 'the SPIFFE ID the workload gets')
    .option(
      '--parent-id <id>',
      'agent, node alias or entry below which it applies (default: the agent in "trustplane up")',
    )
    .option(
      '--node',
      'make a node alias: the parent is the server and the selectors are those of agents',
    )
    .option(
      '--selector <type:value>',
      'a fact the workload must show, for example unix:uid:1000 (repeatable; all must hold)',
      collect,
    )
    .option(
      '--x509-svid-ttl <duration>',
      "life of the X509-SVID, for example 30m or seconds (0: the server's default)",
      ttlSeconds,
    )
    .option('--jwt-svid-ttl <duration>', "life of JWT-SVIDs (0: the server's default)", ttlSeconds)
    .option(
      '--federates-with <trust-domain>',
      'foreign trust domain whose bundle the workload gets too (repeatable)',
      collect,
    )
    .option('--dns <name>', 'DNS SAN of the X509-SVID (repeatable)', collect)
    .option('--hint <text>', 'tells the workload how to use the SVID')
    .option('--admin', 'the workload may use the server API')
    .option('--downstream', 'the workload is a downstream server and may get a CA')
    .option('--store-svid', 'the SVID is for an SVID store')
    .option(
      '--expires-at <instant>',
      'the entry ends then: RFC 3339 or Unix seconds',
      instantSeconds,
    );
}

function withFilter(command: Command): Command {
  return command
    .option('--entry-id <id>', 'id of the entry')
    .option('--spiffe-id <id>', 'entries with this SPIFFE ID')
    .option('--parent-id <id>', 'entries below this parent')
    .option(
      '--selector <type:value>',
      'entries with these selectors (repeatable; see --match)',
      collect,
    )
    .addOption(
      new Option('--match <how>', 'how --selector and --federates-with compare')
        .choices(['exact', 'subset', 'superset', 'any'])
        .default('superset'),
    )
    .option(
      '--federates-with <trust-domain>',
      'entries that federate with these trust domains (repeatable)',
      collect,
    )
    .option('--hint <text>', 'entries with this hint')
    .option('--downstream', 'downstream entries');
}

async function withClient(
  options: AdminOptions,
  act: (client: AdminClient) => Promise<void>,
): Promise<void> {
  const { createAdminClient } = await import('../client/index.ts');
  const client = createAdminClient(options.adminSocket);
  try {
    await act(client);
  } finally {
    client.close();
  }
}

async function buildMessage(
  client: AdminClient,
  flags: EntryFlags,
  isNew: boolean,
): Promise<EntryMessage> {
  const parent =
    flags.parentId ??
    (isNew || flags.node === true ? await defaultParent(client, flags.node === true) : undefined);
  return {
    ...(flags.entryId === undefined ? {} : { id: flags.entryId }),
    ...(flags.spiffeId === undefined ? {} : { spiffe_id: idMessage(flags.spiffeId) }),
    ...(parent === undefined ? {} : { parent_id: idMessage(parent) }),
    ...(flags.selector === undefined ? {} : { selectors: flags.selector.map(parseSelector) }),
    ...(flags.x509SvidTtl === undefined ? {} : { x509_svid_ttl: flags.x509SvidTtl }),
    ...(flags.jwtSvidTtl === undefined ? {} : { jwt_svid_ttl: flags.jwtSvidTtl }),
    ...(flags.federatesWith === undefined ? {} : { federates_with: [...flags.federatesWith] }),
    ...(flags.dns === undefined ? {} : { dns_names: [...flags.dns] }),
    ...(flags.hint === undefined ? {} : { hint: flags.hint }),
    ...(flags.admin === undefined ? {} : { admin: flags.admin }),
    ...(flags.downstream === undefined ? {} : { downstream: flags.downstream }),
    ...(flags.storeSvid === undefined ? {} : { store_svid: flags.storeSvid }),
    ...(flags.expiresAt === undefined ? {} : { expires_at: flags.expiresAt }),
  };
}

async function defaultParent(client: AdminClient, isNodeAlias: boolean): Promise<string> {
  const { trustDomain } = await client.status();
  return `spiffe://${trustDomain}/spire/${isNodeAlias ? 'server' : 'agent/local/up'}`;
}

function buildFilter(filter: EntryFilter): object {
  const match = `MATCH_${filter.match.toUpperCase()}`;
  return {
    ...(filter.spiffeId === undefined ? {} : { by_spiffe_id: idMessage(filter.spiffeId) }),
    ...(filter.parentId === undefined ? {} : { by_parent_id: idMessage(filter.parentId) }),
    ...(filter.selector === undefined
      ? {}
      : { by_selectors: { selectors: filter.selector.map(parseSelector), match } }),
    ...(filter.federatesWith === undefined
      ? {}
      : { by_federates_with: { trust_domains: [...filter.federatesWith], match } }),
    ...(filter.hint === undefined ? {} : { by_hint: { value: filter.hint } }),
    ...(filter.downstream === undefined ? {} : { by_downstream: { value: filter.downstream } }),
  };
}

function idMessage(text: string): { trust_domain: string; path: string } {
  const id = SpiffeId.parse(text);
  return { trust_domain: id.trustDomain.name, path: id.path };
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
      ]
        .filter(Boolean)
        .join(', '),
    ],
    ['Expires', entry.expiresAt ?? ''],
    ['Revision', String(entry.revisionNumber)],
    ['Created', entry.createdAt ?? ''],
  ]);
}
