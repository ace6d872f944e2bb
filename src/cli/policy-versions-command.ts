import { Command, Option } from 'commander';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, count, withAdminSocket } from './options.ts';
import { formatHistory, formatStatus, listBehind } from './policy-text.ts';
import { clientOf } from './with-client.ts';
import { writePolicyFiles } from './write-policy-files.ts';

const withClient = clientOf(({ createPolicyClient }) => createPolicyClient);

interface HistoryOptions extends AdminOptions {
  readonly limit: number;
  readonly verify?: boolean;
}

interface ShowOptions extends Omit<AdminOptions, 'output'> {
  /** What is printed are files in YAML, so that text is that too. */
  readonly output: 'text' | 'yaml' | 'json';
  readonly toDir?: string;
}

interface StatusOptions extends AdminOptions {
  readonly check?: boolean;
}

interface PruneOptions extends AdminOptions {
  readonly keep: number;
}

const USUAL_LIMIT = 20;

export function historyCommand(io: Io): Command {
  return withAdminSocket(new Command('history'), io)
    .description(
      'List the versions of the policies that the control plane keeps, the latest first.',
    )
    .option('--limit <number>', `at most so many (default: ${USUAL_LIMIT})`, count(1), USUAL_LIMIT)
    .option('--verify', 'check the chain of their hashes, and all files against it')
    .addHelpText(
      'after',
      `
Examples:
  trustplane policy history
  trustplane policy history --verify
  trustplane policy history --limit 1000 --output json | jq '.versions[] | {version, reason}'

With --verify the exit code is 12 when a version or a file is not what it was.`,
    )
    .action((options: HistoryOptions) => showHistory(io, options));
}

export function showCommand(io: Io): Command {
  const command = withAdminSocket(new Command('show'), io);
  const output = command.options.find(({ long }) => long === '--output');
  output?.choices(['text', 'yaml', 'json']);
  return command
    .description('Print the files of a version of the policies, as they were applied.')
    .argument('[version]', 'its number (default: the present one)', count(1))
    .addOption(new Option('--to-dir <directory>', 'write the files into a directory instead'))
    .addHelpText(
      'after',
      `
Examples:
  trustplane policy show
  trustplane policy show 12 --to-dir restored/
  trustplane policy show 12 --output json | jq .version`,
    )
    .action((version: number | undefined, options: ShowOptions) => show(io, version, options));
}

export function policyStatusCommand(io: Io): Command {
  return withAdminSocket(new Command('status'), io)
    .description(
      'Show which version of the policies there is, who has which in force since when, and who is behind or refused it and why.',
    )
    .option('--check', 'fail when a connected agent does not have the present version in force')
    .addHelpText(
      'after',
      `
Examples:
  trustplane policy status
  trustplane policy status --check
  trustplane policy status --output json | jq '.agents[] | select(.takers[].state != "in-force")'

Of several servers each is named, and told about by the one that is asked, as of about a second ago.
Of the agents of others some are listed, those that are behind first; all are counted. With --check the exit code is 7 when one refused it, 10 when one is behind.`,
    )
    .action((options: StatusOptions) => showStatus(io, options));
}

export function pruneCommand(io: Io): Command {
  return withAdminSocket(new Command('prune'), io)
    .description(
      'Forget old versions of the policies; what is kept stays a chain that can be verified.',
    )
    .requiredOption('--keep <number>', 'how many of the latest are kept', count(1))
    .addHelpText('after', '\nExamples:\n  trustplane policy prune --keep 100')
    .action((options: PruneOptions) =>
      withClient(options, async (client) => {
        const forgotten = await client.prune(options.keep);
        print(io, options.output, { forgotten }, `${forgotten} versions are forgotten`);
      }),
    );
}

async function showHistory(io: Io, { limit, verify = false, ...options }: HistoryOptions) {
  await withClient(options, async (client) => {
    const { versions, faults, kept, hasMore } = await client.history(limit, verify);
    const [fault] = faults;
    if (fault !== undefined) throw new TrustplaneError('ERR_POLICY_CHAIN', faults.join('\n'));
    const more = hasMore ? [`${kept - versions.length} earlier ones are not shown`] : [];
    const verified = verify ? [`the chain of ${kept} versions and their files is whole`] : [];
    const text = [formatHistory(versions), ...more, ...verified].join('\n');
    print(io, options.output, { versions, kept, ...(verify && { verified: true }) }, text);
  });
}

async function show(io: Io, asked: number | undefined, options: ShowOptions): Promise<void> {
  await withClient({ ...options, output: 'text' }, async (client) => {
    const { version, files } = await client.show(asked ?? 0);
    if (options.toDir !== undefined) {
      await writePolicyFiles(options.toDir, files);
      const written = { version, directory: options.toDir, files: files.map(({ name }) => name) };
      const text = `${files.length} files of version ${version.version} are in ${options.toDir}`;
      return print(io, options.output === 'json' ? 'json' : 'text', written, text);
    }
    const texts = files.map(({ name, content }) => ({
      name,
      text: Buffer.from(content).toString(),
    }));
    if (options.output === 'json') return print(io, 'json', { version, files: texts }, '');
    const documents = texts.map(({ name, text }) => `# ${name}\n${text.trimEnd()}\n`);
    io.out(documents.join('---\n'));
  });
}

async function showStatus(io: Io, { check = false, ...options }: StatusOptions): Promise<void> {
  await withClient(options, async (client) => {
    for await (const status of client.status(false)) {
      const all = listBehind(status);
      print(io, options.output, { ...status, behind: all }, formatStatus(status));
      const behind = all.filter(({ connected }) => connected);
      if (!check || behind.length === 0) return;
      const refused = behind.some(({ state }) => state === 'refused');
      throw new TrustplaneError(
        refused ? 'ERR_POLICY_REFUSED' : 'ERR_POLICY_WAIT',
        `${behind.length} do not have the present version in force`,
      );
    }
  });
}
