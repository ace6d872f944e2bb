import { Command, Option } from 'commander';
import type { RelationshipDraft, RelationshipView } from '../client/index.ts';
import { SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { type BundleFormat, formatOption, readBundle, trustDomainOf } from './bundle-format.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, collect, withAdminSocket } from './options.ts';
import { formatFields, formatTable } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createFederationClient }) => createFederationClient);

interface RelationshipFlags extends AdminOptions {
  readonly trustDomain?: string;
  readonly bundleEndpointUrl?: string;
  readonly bundleEndpointProfile?: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId?: string;
  readonly trustDomainBundlePath?: string;
  readonly trustDomainBundleFormat: BundleFormat;
}

const EXAMPLES = `
Examples:
  trustplane federation create --trust-domain b.test --bundle-endpoint-url https://b.test/bundle --bundle-endpoint-profile https_web
  trustplane federation list
  trustplane federation delete b.test`;

const CREATE_EXAMPLES = `
Examples:
  trustplane federation create --trust-domain b.test --bundle-endpoint-url https://b.test/bundle --bundle-endpoint-profile https_web
  trustplane federation create --trust-domain b.test --bundle-endpoint-url https://b.test:8443 --bundle-endpoint-profile https_spiffe --endpoint-spiffe-id spiffe://b.test/spire/server --trust-domain-bundle-path b.pem`;

export function federationCommand(io: Io): Command {
  return new Command('federation')
    .description('Create, update, show, list and delete relationships with foreign trust domains.')
    .addHelpText('after', EXAMPLES)
    .addCommand(createCommand(io))
    .addCommand(updateCommand(io))
    .addCommand(showCommand(io))
    .addCommand(listCommand(io))
    .addCommand(deleteCommand(io));
}

function withRelationship(command: Command): Command {
  return command
    .requiredOption('--trust-domain <trust-domain>', 'the foreign trust domain')
    .option('--bundle-endpoint-url <url>', 'where its bundle is served, https')
    .addOption(
      new Option(
        '--bundle-endpoint-profile <profile>',
        'how the server there shows who it is: Web PKI, or an X509-SVID',
      ).choices(['https_web', 'https_spiffe']),
    )
    .option('--endpoint-spiffe-id <id>', 'with https_spiffe: the SPIFFE ID of the server there')
    .option('--trust-domain-bundle-path <file>', 'bundle to begin with; - for standard input')
    .addOption(
      formatOption('--trust-domain-bundle-format <format>', 'how that is written').default('pem'),
    );
}

function createCommand(io: Io): Command {
  return withRelationship(withAdminSocket(new Command('create'), io))
    .description('Create a relationship: where the bundle of a foreign trust domain is to be had.')
    .addHelpText('after', CREATE_EXAMPLES)
    .action((flags: RelationshipFlags) =>
      withClient(flags, async (client) => {
        if (flags.bundleEndpointUrl === undefined) throw required('--bundle-endpoint-url');
        if (flags.bundleEndpointProfile === undefined) throw required('--bundle-endpoint-profile');
        const relationship = await client.create(await buildDraft(flags));
        print(io, flags.output, relationship, describe(relationship));
      }),
    );
}

function updateCommand(io: Io): Command {
  return withRelationship(withAdminSocket(new Command('update'), io))
    .description('Change a relationship; what no flag names stays as it is.')
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane federation update --trust-domain b.test --bundle-endpoint-url https://new.b.test/bundle',
    )
    .action((flags: RelationshipFlags) =>
      withClient(flags, async (client) => {
        const relationship = await client.update(await buildDraft(flags));
        print(io, flags.output, relationship, describe(relationship));
      }),
    );
}

function showCommand(io: Io): Command {
  return withAdminSocket(new Command('show'), io)
    .description('Show a relationship.')
    .argument('[trust-domain]', 'the foreign trust domain')
    .option('--trust-domain <trust-domain>', 'the same')
    .addHelpText('after', '\nExamples:\n  trustplane federation show b.test')
    .action((name: string | undefined, options: AdminOptions & { readonly trustDomain?: string }) =>
      withClient(options, async (client) => {
        const target = name ?? options.trustDomain;
        if (target === undefined) throw required('the trust domain');
        const relationship = await client.get(trustDomainOf(target));
        print(io, options.output, relationship, describe(relationship));
      }),
    );
}

function listCommand(io: Io): Command {
  return withAdminSocket(new Command('list'), io)
    .description('List all relationships.')
    .addHelpText('after', '\nExamples:\n  trustplane federation list --output json')
    .action((options: AdminOptions) =>
      withClient(options, async (client) => {
        const relationships = await client.list();
        print(io, options.output, { relationships }, formatList(relationships));
      }),
    );
}

function deleteCommand(io: Io): Command {
  return withAdminSocket(new Command('delete'), io)
    .description(
      'End relationships: their bundles go too, and nothing of them is trusted any more.',
    )
    .argument('[trust-domains...]', 'the foreign trust domains')
    .option('--id <trust-domain>', 'a trust domain (repeatable)', collect)
    .addHelpText('after', '\nExamples:\n  trustplane federation delete b.test')
    .action(
      (names: readonly string[], options: AdminOptions & { readonly id?: readonly string[] }) =>
        withClient(options, async (client) => {
          const trustDomains = [...names, ...(options.id ?? [])].map(trustDomainOf);
          if (trustDomains.length === 0) throw required('a trust domain');
          await client.delete(trustDomains);
          const deleted = trustDomains.map(({ name }) => name);
          print(io, options.output, { deleted }, `deleted ${deleted.join(', ')}`);
        }),
    );
}

async function buildDraft(flags: RelationshipFlags): Promise<RelationshipDraft> {
  const { bundleEndpointUrl, bundleEndpointProfile: profile, endpointSpiffeId: id } = flags;
  const { trustDomainBundlePath: file, trustDomainBundleFormat: format } = flags;
  if ((profile === 'https_spiffe') !== (id !== undefined)) {
    const message = '--bundle-endpoint-profile https_spiffe and --endpoint-spiffe-id go together';
    throw new TrustplaneError('ERR_USAGE', message);
  }
  const trustDomain = trustDomainOf(flags.trustDomain ?? '');
  const read = file === undefined ? undefined : await readBundle(trustDomain, file, format);
  return {
    trustDomain,
    bundleEndpointUrl,
    profile,
    endpointSpiffeId: id === undefined ? undefined : SpiffeId.parse(id),
    bundle: read?.bundle,
  };
}

function formatList(relationships: readonly RelationshipView[]): string {
  if (relationships.length === 0) return 'no relationships';
  return formatTable(
    ['trust domain', 'profile', 'bundle endpoint'],
    relationships.map((one) => [one.trustDomain, one.bundleEndpointProfile, one.bundleEndpointUrl]),
  );
}

function describe(relationship: RelationshipView): string {
  return formatFields([
    ['Trust domain', relationship.trustDomain],
    ['Bundle endpoint', relationship.bundleEndpointUrl],
    ['Profile', relationship.bundleEndpointProfile],
    ['Endpoint SPIFFE ID', relationship.endpointSpiffeId ?? ''],
  ]);
}

function required(what: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', `${what} is required (see --help)`);
}
