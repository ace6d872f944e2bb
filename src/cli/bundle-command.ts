import { Command, Option } from 'commander';
import { encodePem, serializeBundleDocument } from '../spiffe/index.ts';
import type { Io } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';

interface BundleOptions extends AdminOptions {
  readonly format: 'pem' | 'spiffe';
}

const EXAMPLES = `
Examples:
  trustplane bundle show > bundle.pem
  trustplane bundle show --format spiffe > bundle.json`;

export function bundleCommand(io: Io): Command {
  return new Command('bundle')
    .description('Show the trust bundle.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      withAdminSocket(new Command('show'), io)
        .description(
          'Print the bundle of the own trust domain: PEM certificates, or the SPIFFE bundle document.',
        )
        .addOption(
          new Option(
            '--format <format>',
            'pem, or spiffe for the SPIFFE bundle document (JWKS), which --output json means too',
          )
            .choices(['pem', 'spiffe'])
            .default('pem'),
        )
        .addHelpText('after', EXAMPLES)
        .action((options: BundleOptions) => show(io, options)),
    );
}

async function show(io: Io, options: BundleOptions): Promise<void> {
  const { createAdminClient } = await import('../client/index.ts');
  const client = createAdminClient(options.adminSocket);
  try {
    const bundle = await client.bundle();
    const isDocument = options.output === 'json' || options.format === 'spiffe';
    io.out(
      isDocument
        ? `${serializeBundleDocument(bundle, { indent: 2 })}\n`
        : bundle.x509Authorities
            .map(({ certificate }) => encodePem('CERTIFICATE', certificate))
            .join(''),
    );
  } finally {
    client.close();
  }
}
