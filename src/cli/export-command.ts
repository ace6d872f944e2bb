import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { Command, Option } from 'commander';
import type { ApplyClient } from '../client/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, collect, withAdminSocket } from './options.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createApplyClient }) => createApplyClient);

interface ExportOptions extends AdminOptions {
  readonly out: string;
  readonly set?: string;
  readonly kind?: readonly string[];
}

const FILE_MODE = 0o644;

const EXAMPLES = `
Examples:
  trustplane export > state.yaml
  trustplane export --out entries/ --set payments
  trustplane export --kind RegistrationEntry | trustplane diff -f -

What is exported can be applied; the entries then belong to its set, and nothing else changes. A directory gets one file for
each kind. With --out, --output json says how many there are.`;

const kinds = ['RegistrationEntry', 'FederationRelationship'];

export function exportCommand(io: Io): Command {
  return withAdminSocket(new Command('export'), io)
    .description('Write the present entries and relationships as documents.')
    .option('--out <path>', 'file, or directory (ends in /); - for standard output', '-')
    .option('--set <name>', 'only what this set keeps')
    .addOption(
      new Option('--kind <kind>', `${kinds.join(' or ')} (repeatable)`).argParser(
        (value: string, before: readonly string[] | undefined) => collect(kindOf(value), before),
      ),
    )
    .addHelpText('after', EXAMPLES)
    .action((options: ExportOptions) => {
      if (options.out === '-' && options.output === 'json') {
        throw new TrustplaneError(
          'ERR_USAGE',
          'documents are YAML; --output json goes with --out <path>',
        );
      }
      return withClient(options, (client) => exportAll(io, client, options));
    });
}

export async function exportAll(
  io: Io,
  client: Pick<ApplyClient, 'export'>,
  options: ExportOptions,
): Promise<void> {
  const { formatEntryDocument, formatRelationshipDocument } = await import('../apply/index.ts');
  const entries: string[] = [];
  const relationships: string[] = [];
  for await (const part of client.export(options.set ?? '', options.kind ?? [])) {
    entries.push(...part.entries.map(formatEntryDocument));
    relationships.push(...part.relationships.map(formatRelationshipDocument));
  }
  const { out, output } = options;
  if (out === '-') return io.out(join([...entries, ...relationships]));
  if (await isDirectory(out)) await writeInto(out, entries, relationships);
  else await writeText(out, [...entries, ...relationships]);
  const counts = { entries: entries.length, relationships: relationships.length };
  const text = `${counts.entries} entries and ${counts.relationships} relationships are in ${out}`;
  print(io, output, { out, ...counts }, text);
}

async function writeInto(
  folder: string,
  entries: readonly string[],
  relationships: readonly string[],
): Promise<void> {
  const files = [
    ['entries.yaml', entries],
    ['relationships.yaml', relationships],
  ] as const;
  for (const [name, documents] of files)
    if (documents.length > 0) await writeText(path.join(folder, name), documents);
}

/** One that ends in / is made. @throws TrustplaneError ERR_USAGE, ERR_FILE_WRITE */
async function isDirectory(out: string): Promise<boolean> {
  try {
    if (out.endsWith('/')) await mkdir(out, { recursive: true });
    const found = await stat(out);
    if (found.isDirectory() || found.isFile()) return found.isDirectory();
  } catch (cause) {
    if (!out.endsWith('/')) return false;
    throw new TrustplaneError('ERR_FILE_WRITE', `${out}: ${messageOf(cause)}`, { cause });
  }
  throw new TrustplaneError('ERR_USAGE', `--out: ${out} is neither a file nor a directory`);
}

async function writeText(file: string, documents: readonly string[]): Promise<void> {
  const { writeFileAtomic } = await import('../ops/index.ts');
  await writeFileAtomic(file, Buffer.from(join(documents)), { mode: FILE_MODE });
}

function join(documents: readonly string[]): string {
  return documents.join('---\n');
}

function kindOf(text: string): string {
  if (kinds.includes(text)) return text;
  throw new TrustplaneError('ERR_USAGE', `--kind: expected ${kinds.join(' or ')}; got ${text}`);
}
