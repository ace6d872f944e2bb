import { Command, Option } from 'commander';
import type { DeleteMode } from '../client/index.ts';
import {
  type Bundle,
  type IgnoredKey,
  serializeBundleMap,
  serializeJwks,
  TrustplaneError,
} from '../spiffe/index.ts';
import {
  type BundleFormat,
  formatBundle,
  formatOption,
  readBundle,
  trustDomainOf,
} from './bundle-format.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, collect, withAdminSocket } from './options.ts';
import { formatTable } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createBundleClient }) => createBundleClient);

interface ShowOptions extends AdminOptions {
  readonly format: BundleFormat | 'jwks';
}

interface ListOptions extends AdminOptions {
  readonly id?: string;
  readonly format?: BundleFormat;
}

interface SetOptions extends AdminOptions {
  readonly id: string;
  readonly path: string;
  readonly format: BundleFormat;
  readonly resetSequence?: boolean;
}

interface DeleteOptions extends AdminOptions {
  readonly id?: readonly string[];
  readonly mode: DeleteMode;
}

const EXAMPLES = `
Examples:
  trustplane bundle show > bundle.pem
  trustplane bundle list
  trustplane bundle set --id b.test --format spiffe --path b.json
  trustplane bundle delete b.test --mode dissociate`;

const SHOW_EXAMPLES = `
Examples:
  trustplane bundle show > bundle.pem
  trustplane bundle show --format spiffe > bundle.json
  trustplane bundle show --format jwks > jwks.json     for whoever verifies JWT-SVIDs as JWTs`;

const LIST_EXAMPLES = `
Examples:
  trustplane bundle list
  trustplane bundle list --id b.test --format pem
  trustplane bundle list --format spiffe               a SPIFFE bundle map of all`;

const SET_EXAMPLES = `
Examples:
  trustplane bundle set --id b.test --path b.pem
  curl -s https://b.test/bundle | trustplane bundle set --id b.test --format spiffe --path -`;

const DELETE_EXAMPLES = `
Examples:
  trustplane bundle delete b.test
  trustplane bundle delete --id b.test --mode dissociate`;

export function bundleCommand(io: Io): Command {
  return new Command('bundle')
    .description('Show, list, set, delete and count trust bundles.')
    .addHelpText('after', EXAMPLES)
    .addCommand(showCommand(io))
    .addCommand(listCommand(io))
    .addCommand(setCommand(io))
    .addCommand(deleteCommand(io))
    .addCommand(countCommand(io));
}

function showCommand(io: Io): Command {
  return withAdminSocket(new Command('show'), io)
    .description(
      'Print the bundle of the own trust domain: PEM certificates, the SPIFFE bundle document, or a JWK Set.',
    )
    .addOption(
      new Option(
        '--format <format>',
        'pem, spiffe for the SPIFFE bundle document, which --output json means too, or jwks for the JWT keys alone',
      )
        .choices(['pem', 'spiffe', 'jwks'])
        .default('pem'),
    )
    .addHelpText('after', SHOW_EXAMPLES)
    .action((options: ShowOptions) =>
      withClient(options, async (client) => {
        const bundle = await client.own();
        if (options.format === 'jwks') return io.out(`${serializeJwks(bundle, 2)}\n`);
        const format = options.output === 'json' ? 'spiffe' : options.format;
        io.out(formatBundle(bundle, format));
      }),
    );
}

function listCommand(io: Io): Command {
  return withAdminSocket(new Command('list'), io)
    .description('List the bundles of federated trust domains, or print them.')
    .option('--id <trust-domain>', 'print the bundle of this one alone')
    .addOption(
      formatOption(
        '--format <format>',
        'print pem, or spiffe for the SPIFFE bundle document (of all: the bundle map), which --output json means too',
      ),
    )
    .addHelpText('after', LIST_EXAMPLES)
    .action((options: ListOptions) =>
      withClient(options, async (client) => {
        const format = options.output === 'json' ? 'spiffe' : options.format;
        if (options.id !== undefined) {
          const bundle = await client.federated(trustDomainOf(options.id));
          return io.out(formatBundle(bundle, format ?? 'pem'));
        }
        io.out(formatAll(await client.listFederated(), format));
      }),
    );
}

function setCommand(io: Io): Command {
  return withAdminSocket(new Command('set'), io)
    .description(
      'Create or replace the bundle of a foreign trust domain. Its sequence number may not fall.',
    )
    .requiredOption('--id <trust-domain>', 'the trust domain')
    .option('--path <file>', 'where the bundle is; - for standard input', '-')
    .addOption(
      formatOption('--format <format>', 'pem, or spiffe for the SPIFFE bundle document').default(
        'pem',
      ),
    )
    .option('--reset-sequence', 'take its sequence number as it is, whatever was there')
    .addHelpText('after', SET_EXAMPLES)
    .action((options: SetOptions) =>
      withClient(options, async (client) => {
        const trustDomain = trustDomainOf(options.id);
        const read = await readBundle(trustDomain, options.path, options.format);
        const bundle = await client.set(read.bundle, options.resetSequence === true);
        const { ignoredKeys } = read;
        const text = [`set ${describe(bundle)}`, ...ignoredKeys.map(describeIgnored)].join('\n');
        print(io, options.output, { ...factsOf(bundle), ignoredKeys }, text);
      }),
    );
}

function deleteCommand(io: Io): Command {
  return withAdminSocket(new Command('delete'), io)
    .description('Delete bundles of federated trust domains; nothing of them is trusted any more.')
    .argument('[trust-domains...]', 'the trust domains')
    .option('--id <trust-domain>', 'a trust domain (repeatable)', collect)
    .addOption(
      new Option('--mode <mode>', 'entries that federate with it: must not be, go too, or stay')
        .choices(['restrict', 'delete', 'dissociate'])
        .default('restrict'),
    )
    .addHelpText('after', DELETE_EXAMPLES)
    .action((names: readonly string[], options: DeleteOptions) =>
      withClient(options, async (client) => {
        const trustDomains = [...names, ...(options.id ?? [])].map(trustDomainOf);
        if (trustDomains.length === 0)
          throw new TrustplaneError('ERR_USAGE', 'a trust domain is required (see --help)');
        await client.delete(trustDomains, options.mode);
        const deleted = trustDomains.map(({ name }) => name);
        print(io, options.output, { deleted }, `deleted ${deleted.join(', ')}`);
      }),
    );
}

function countCommand(io: Io): Command {
  return withAdminSocket(new Command('count'), io)
    .description('Count bundles: the own one and those of federated trust domains.')
    .addHelpText('after', '\nExamples:\n  trustplane bundle count')
    .action((options: AdminOptions) =>
      withClient(options, async (client) => {
        const count = await client.count();
        print(io, options.output, { count }, `${count} ${count === 1 ? 'bundle' : 'bundles'}`);
      }),
    );
}

/** A table; every bundle in PEM under a line with its trust domain; or the bundle map. */
function formatAll(bundles: readonly Bundle[], format: BundleFormat | undefined): string {
  if (format === 'spiffe') return `${serializeBundleMap(bundles)}\n`;
  if (bundles.length === 0) return 'no bundles\n';
  if (format === 'pem') {
    return bundles
      .map((bundle) => `# ${bundle.trustDomain.name}\n${formatBundle(bundle, 'pem')}`)
      .join('');
  }
  const rows = bundles.map((bundle) => {
    const { trustDomain, x509Authorities, jwtAuthorities, sequenceNumber } = factsOf(bundle);
    return [trustDomain, `${x509Authorities}`, `${jwtAuthorities}`, sequenceNumber ?? '-'];
  });
  return `${formatTable(['trust domain', 'x.509', 'jwt', 'sequence'], rows)}\n`;
}

function factsOf(bundle: Bundle) {
  return {
    trustDomain: bundle.trustDomain.name,
    x509Authorities: bundle.x509Authorities.length,
    jwtAuthorities: bundle.jwtAuthorities.length,
    witAuthorities: bundle.witAuthorities.length,
    sequenceNumber: bundle.sequenceNumber?.toString() ?? null,
  };
}

function describe(bundle: Bundle): string {
  const { trustDomain, x509Authorities, jwtAuthorities, sequenceNumber } = factsOf(bundle);
  const sequence = sequenceNumber === null ? '' : `, sequence ${sequenceNumber}`;
  return `${trustDomain}: ${x509Authorities} X.509 and ${jwtAuthorities} JWT authorities${sequence}`;
}

function describeIgnored({ index, reason }: IgnoredKey): string {
  return `ignored key ${index}: ${reason}`;
}
