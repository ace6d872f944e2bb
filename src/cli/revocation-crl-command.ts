import { Command, Option } from 'commander';
import type { CrlView } from '../client/crl-client.ts';
import { encodePem, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { clientOf } from './with-client.ts';

interface CrlOptions extends AdminOptions {
  readonly authority?: string;
  readonly format: 'pem' | 'der';
  readonly out?: string;
}

interface ReadCrl extends CrlView {
  readonly der: Uint8Array;
}

const withClient = clientOf(({ createCrlClient }) => createCrlClient);

const EXAMPLES = `
Examples:
  trustplane revocation crl > crls.pem
  trustplane revocation crl --authority 5e0f2c... --out authority.pem
  trustplane revocation crl --authority 5e0f2c... --format der --out authority.crl
  trustplane revocation crl --output json | jq -r '.crls[] | .authorityId, .revoked'

There is one CRL for each X.509 authority of the control plane. Agents bring them to workloads and Envoys by themselves;
this is for whoever is told by hand, such as AWS IAM Roles Anywhere. What is revoked later needs another one.`;

export function revocationCrlCommand(io: Io): Command {
  return withAdminSocket(new Command('crl'), io)
    .description('Write the certificate revocation lists of the own authorities.')
    .option('--authority <id>', 'of one authority alone (default: of all)')
    .addOption(new Option('--format <format>', 'how').choices(['pem', 'der']).default('pem'))
    .option('--out <file>', 'write it there, as one step (default: standard output)')
    .addHelpText('after', EXAMPLES)
    .action((options: CrlOptions) => writeCrls(io, options));
}

async function writeCrls(io: Io, options: CrlOptions): Promise<void> {
  const { authority, format, out } = options;
  if (format === 'der' && out === undefined) {
    throw new TrustplaneError('ERR_USAGE', '--format der is not for a terminal; add --out <file>');
  }
  await withClient(options, async (client) => {
    const views = (await client.list()).filter(
      ({ authorityId }) => authority === undefined || authorityId === authority,
    );
    // Says that there is none.
    if (views.length === 0 && authority !== undefined) await client.fetch(authority);
    const crls: ReadCrl[] = [];
    for (const view of views) crls.push({ ...view, der: await client.fetch(view.authorityId) });
    await deliver(io, options, crls);
  });
}

async function deliver(
  io: Io,
  { format, out, output }: CrlOptions,
  crls: readonly ReadCrl[],
): Promise<void> {
  const shown = crls.map(({ der, ...view }) => ({ ...view, pem: encodePem('X509 CRL', der) }));
  const pem = shown.map((crl) => crl.pem).join('');
  if (out === undefined) {
    if (output === 'json') print(io, output, { crls: shown }, '');
    else io.out(pem);
    return;
  }
  const { writeFileAtomic } = await import('../ops/index.ts');
  const bytes = format === 'der' ? soleOf(crls) : Buffer.from(pem);
  await writeFileAtomic(out, bytes, { mode: 0o644 });
  const authorities = crls.map(({ authorityId }) => authorityId);
  print(
    io,
    output,
    { out, authorities },
    `${crls.length === 1 ? '1 CRL is' : `${crls.length} CRLs are`} in ${out}`,
  );
}

function soleOf(crls: readonly ReadCrl[]): Uint8Array {
  const [only, other] = crls;
  if (only !== undefined && other === undefined) return only.der;
  const found = crls.map(({ authorityId }) => authorityId).join(', ') || 'none';
  throw new TrustplaneError(
    'ERR_USAGE',
    `a DER file holds one CRL; choose an --authority of: ${found}`,
  );
}
