import { Command, Option } from 'commander';
import type { RelationshipDraft, RelationshipView } from '../client/index.ts';
import { systemClock } from '../ops/system-clock.ts';
import { SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { type BundleFormat, formatOption, readBundle, trustDomainOf } from './bundle-format.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, collect, withAdminSocket } from './options.ts';
import { readInput } from './read-input.ts';
import { formatRelationship, formatRelationships } from './relationship-text.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createFederationClient }) => createFederationClient);

const MAX_WEB_CA_BYTES = 65_536;

interface RelationshipFlags extends AdminOptions {
  readonly trustDomain?: string;
  readonly bundleEndpointUrl?: string;
  readonly bundleEndpointProfile?: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId?: string;
  readonly trustDomainBundlePath?: string;
  readonly trustDomainBundleFormat: BundleFormat;
  readonly accept?: readonly string[];
  readonly acceptAll?: boolean;
  readonly awaitAck?: boolean;
  readonly publisherId?: string;
  readonly webCaFile?: string;
}

const EXAMPLES = `
Examples:
  trustplane federation create --trust-domain b.test --bundle-endpoint-url https://b.test/bundle --bundle-endpoint-profile https_web
  trustplane federation list
  trustplane federation delete b.test`;

const CREATE_EXAMPLES = `
Examples:
  trustplane federation create --trust-domain b.test --bundle-endpoint-url https://b.test/bundle --bundle-endpoint-profile https_web
  trustplane federation create --trust-domain b.test --bundle-endpoint-url https://b.test:8443 --bundle-endpoint-profile https_spiffe --endpoint-spiffe-id spiffe://b.test/spire/server --trust-domain-bundle-path b.pem
  trustplane federation create --trust-domain b.test --bundle-endpoint-url https://b.test/bundle --bundle-endpoint-profile https_web --accept 'spiffe://b.test/payments/**'`;

const UPDATE_EXAMPLES = `
Examples:
  trustplane federation update --trust-domain b.test --bundle-endpoint-url https://new.b.test/bundle
  trustplane federation update --trust-domain b.test --accept-all`;

export function federationCommand(io: Io): Command {
  return new Command('federation')
    .description(
      'Create, update, show, list, refresh and delete relationships with foreign trust domains.',
    )
    .addHelpText('after', EXAMPLES)
    .addCommand(createCommand(io))
    .addCommand(updateCommand(io))
    .addCommand(showCommand(io))
    .addCommand(listCommand(io))
    .addCommand(refreshCommand(io))
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
    )
    .option(
      '--accept <scope>',
      'accept this SPIFFE ID of it, or with /** behind it all below, and no others (repeatable)',
      collect,
    )
    .option('--await-ack', 'new X.509 authorities wait until it has confirmed the bundle with them')
    .option('--publisher-id <id>', 'SPIFFE ID of who signs its bundle where it is broadcast')
    .option(
      '--web-ca-file <file>',
      "with https_web: PEM file of the authorities of the endpoint's certificate",
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
        show(io, flags, await client.create(await buildDraft(flags)));
      }),
    );
}

function updateCommand(io: Io): Command {
  return withRelationship(withAdminSocket(new Command('update'), io))
    .option('--accept-all', 'accept all SPIFFE IDs of it')
    .option('--no-await-ack', 'new X.509 authorities wait for it no more')
    .description('Change a relationship; what no flag names stays as it is.')
    .addHelpText('after', UPDATE_EXAMPLES)
    .action((flags: RelationshipFlags) =>
      withClient(flags, async (client) => {
        if (flags.accept !== undefined && flags.acceptAll === true) {
          throw new TrustplaneError('ERR_USAGE', '--accept and --accept-all exclude each other');
        }
        show(io, flags, await client.update(await buildDraft(flags)));
      }),
    );
}

function showCommand(io: Io): Command {
  return ofOne(withAdminSocket(new Command('show'), io))
    .description('Show a relationship, and how fetching its bundle goes.')
    .addHelpText('after', '\nExamples:\n  trustplane federation show b.test')
    .action((name: string | undefined, options: OneOptions) =>
      withClient(options, async (client) => {
        show(io, options, await client.get(targetOf(name, options)));
      }),
    );
}

function refreshCommand(io: Io): Command {
  return ofOne(withAdminSocket(new Command('refresh'), io))
    .description('Fetch the bundle of a trust domain now.')
    .addHelpText('after', '\nExamples:\n  trustplane federation refresh b.test')
    .action((name: string | undefined, options: OneOptions) =>
      withClient(options, async (client) => {
        show(io, options, await client.refresh(targetOf(name, options)));
      }),
    );
}

function listCommand(io: Io): Command {
  return withAdminSocket(new Command('list'), io)
    .description('List all relationships, and how fetching their bundles goes.')
    .addHelpText('after', '\nExamples:\n  trustplane federation list --output json')
    .action((options: AdminOptions) =>
      withClient(options, async (client) => {
        const relationships = await client.list();
        print(
          io,
          options.output,
          { relationships },
          formatRelationships(relationships, systemClock.now()),
        );
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

interface OneOptions extends AdminOptions {
  readonly trustDomain?: string;
}

function ofOne(command: Command): Command {
  return command
    .argument('[trust-domain]', 'the foreign trust domain')
    .option('--trust-domain <trust-domain>', 'the same');
}

function targetOf(name: string | undefined, { trustDomain }: OneOptions) {
  const target = name ?? trustDomain;
  if (target === undefined) throw required('the trust domain');
  return trustDomainOf(target);
}

function show(io: Io, { output }: AdminOptions, relationship: RelationshipView): void {
  print(io, output, relationship, formatRelationship(relationship, systemClock.now()));
}

async function buildDraft(flags: RelationshipFlags): Promise<RelationshipDraft> {
  const { bundleEndpointUrl, bundleEndpointProfile: profile, endpointSpiffeId: id } = flags;
  const { trustDomainBundlePath: file, trustDomainBundleFormat: format, webCaFile } = flags;
  if ((profile === 'https_spiffe') !== (id !== undefined)) {
    const message = '--bundle-endpoint-profile https_spiffe and --endpoint-spiffe-id go together';
    throw new TrustplaneError('ERR_USAGE', message);
  }
  const trustDomain = trustDomainOf(flags.trustDomain ?? '');
  const read = file === undefined ? undefined : await readBundle(trustDomain, file, format);
  const webCa = webCaFile === undefined ? undefined : await readInput(webCaFile, MAX_WEB_CA_BYTES);
  return {
    trustDomain,
    bundleEndpointUrl,
    profile,
    endpointSpiffeId: id === undefined ? undefined : SpiffeId.parse(id),
    bundle: read?.bundle,
    accept: flags.acceptAll === true ? [] : flags.accept,
    awaitAck: flags.awaitAck,
    publisherId: flags.publisherId,
    webCa: webCa && Buffer.from(webCa).toString('latin1'),
  };
}

function required(what: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', `${what} is required (see --help)`);
}
