import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { encodePem, generateP256KeyPair, SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, collect, ttlSeconds, withAdminSocket } from './options.ts';
import { formatFields } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createSvidClient }) => createSvidClient);

interface MintOptions extends AdminOptions {
  readonly spiffeId?: string;
  readonly ttl?: number;
  readonly write?: string;
}

interface X509Options extends MintOptions {
  readonly dns?: readonly string[];
}

interface JwtOptions extends MintOptions {
  readonly audience?: readonly string[];
}

/** One piece of what was minted. */
interface Piece {
  readonly name: string;
  readonly text: string;
  readonly mode: number;
}

const X509_EXAMPLES = `
Examples:
  trustplane svid x509 mint --spiffe-id spiffe://example.org/job
  trustplane svid x509 mint --spiffe-id spiffe://example.org/db --dns db.internal --ttl 30m --write .`;

const JWT_EXAMPLES = `
Examples:
  trustplane svid jwt mint --spiffe-id spiffe://example.org/job --audience spiffe://example.org/db
  trustplane svid jwt mint --spiffe-id spiffe://example.org/job --audience db --ttl 1m --write token`;

const EXAMPLES = `${X509_EXAMPLES}${JWT_EXAMPLES.replace('\nExamples:', '')}`;

export function svidCommand(io: Io): Command {
  const x509 = withMint(withAdminSocket(new Command('mint'), io))
    .description('Make a key, and have the server sign an X509-SVID for it.')
    .option('--dns <name>', 'DNS name of the certificate (repeatable)', collect)
    .option('--write <dir>', 'write svid.pem, key.pem (0600) and bundle.pem instead of printing')
    .addHelpText('after', X509_EXAMPLES)
    .action((options: X509Options) => mintX509(io, options));
  const jwt = withMint(withAdminSocket(new Command('mint'), io))
    .description('Have the server sign a JWT-SVID.')
    .option('--audience <name>', 'who the token is for (repeatable)', collect)
    .option('--write <file>', 'write the token to a file (0600) instead of printing')
    .addHelpText('after', JWT_EXAMPLES)
    .action((options: JwtOptions) => mintJwt(io, options));
  return new Command('svid')
    .description('Mint SVIDs of workloads of the trust domain, without a registration entry.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      new Command('x509')
        .description('Mint X509-SVIDs.')
        .addHelpText('after', X509_EXAMPLES)
        .addCommand(x509),
    )
    .addCommand(
      new Command('jwt')
        .description('Mint JWT-SVIDs.')
        .addHelpText('after', JWT_EXAMPLES)
        .addCommand(jwt),
    );
}

function withMint(command: Command): Command {
  return command
    .option('--spiffe-id <id>', 'whose SVID it is')
    .option('--ttl <duration>', "how long it lives (default: the server's)", ttlSeconds);
}

async function mintX509(io: Io, options: X509Options): Promise<void> {
  const spiffeId = SpiffeId.parse(required(options.spiffeId, '--spiffe-id'));
  const { createBundleClient } = await import('../client/index.ts');
  const bundles = createBundleClient(options.adminSocket);
  try {
    await withClient(options, async (client) => {
      const keys = generateP256KeyPair();
      const { dns: dnsNames = [], ttl = 0 } = options;
      const minted = await client.mintX509({ spiffeId, keys, dnsNames, ttlSeconds: ttl });
      const { x509Authorities } = await bundles.own();
      const pieces: readonly Piece[] = [
        { name: 'svid.pem', text: pem('CERTIFICATE', minted.certificateChain), mode: 0o644 },
        { name: 'key.pem', text: pem('PRIVATE KEY', [keys.privateKey]), mode: 0o600 },
        {
          name: 'bundle.pem',
          text: pem(
            'CERTIFICATE',
            x509Authorities.map(({ certificate }) => certificate),
          ),
          mode: 0o644,
        },
      ];
      const { serialNumber } = minted;
      const expiresAt = new Date(minted.expiresAt).toISOString();
      const facts = { spiffeId: spiffeId.toString(), serialNumber, expiresAt };
      const files = await write(options.write, pieces);
      if (files.length > 0) return print(io, options.output, { ...facts, files }, wrote(files));
      const [svid = '', privateKey = '', bundle = ''] = pieces.map(({ text }) => text);
      const text = [svid, privateKey, bundle].join('').trimEnd();
      print(io, options.output, { ...facts, svid, privateKey, bundle }, text);
    });
  } finally {
    bundles.close();
  }
}

async function mintJwt(io: Io, options: JwtOptions): Promise<void> {
  const spiffeId = SpiffeId.parse(required(options.spiffeId, '--spiffe-id'));
  const audience = required(options.audience, '--audience');
  await withClient(options, async (client) => {
    const request = { spiffeId, audience, ttlSeconds: options.ttl ?? 0 };
    const { token, expiresAt } = await client.mintJwt(request);
    const facts = {
      spiffeId: spiffeId.toString(),
      audience,
      expiresAt: new Date(expiresAt).toISOString(),
    };
    if (options.write === undefined) return print(io, options.output, { ...facts, token }, token);
    const [folder, name] = [path.dirname(options.write), path.basename(options.write)];
    const files = await write(folder, [{ name, text: token, mode: 0o600 }]);
    print(io, options.output, { ...facts, files }, wrote(files));
  });
}

/** Writes the pieces into a folder, which is made; nothing without one. Returns the paths. */
async function write(
  folder: string | undefined,
  pieces: readonly Piece[],
): Promise<readonly string[]> {
  if (folder === undefined) return [];
  const { writeFileAtomic } = await import('../ops/index.ts');
  await mkdir(folder, { recursive: true });
  const files: string[] = [];
  for (const { name, text, mode } of pieces) {
    const file = path.join(folder, name);
    await writeFileAtomic(file, Buffer.from(text), { mode });
    files.push(file);
  }
  return files;
}

function wrote(files: readonly string[]): string {
  return formatFields(files.map((file) => ['wrote', file]));
}

function pem(label: string, parts: readonly Uint8Array[]): string {
  return parts.map((der) => encodePem(label, der)).join('');
}

function required<T>(value: T | undefined, flag: string): T {
  if (value !== undefined) return value;
  throw new TrustplaneError('ERR_USAGE', `${flag} is required (see --help)`);
}
