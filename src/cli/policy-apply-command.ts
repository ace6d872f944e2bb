import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import type { PolicyApplyView, PolicyClient, PolicyFileView } from '../client/index.ts';
import { isPolicyFileName, messageOf, policyTextLimits, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, count, timeoutMs, withAdminSocket } from './options.ts';
import { describeRepair, describeVersion } from './policy-text.ts';
import { awaitPolicies, type WaitResult } from './policy-wait.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createPolicyClient }) => createPolicyClient);

interface ChangeOptions extends AdminOptions {
  readonly reason: string;
  readonly author?: string;
  readonly expectedVersion?: number;
  readonly wait?: boolean;
  readonly timeout: number;
}

interface ApplyOptions extends ChangeOptions {
  readonly file: readonly string[];
  readonly dryRun?: boolean;
  readonly skipTests?: boolean;
  readonly force?: boolean;
  readonly repair?: boolean;
}

const DEFAULT_TIMEOUT_MS = 60_000;

const APPLY_EXAMPLES = `
Examples:
  trustplane policy apply -f policies/ --reason 'CHG-7: billing may read' --dry-run
  trustplane policy apply -f policies/ --reason 'CHG-7: billing may read' --wait
  trustplane policy apply -f web.yaml api.yaml --reason 'first' --expected-version 0

The files are all policies there are from then on. A set with a mistake, or whose tests fail, is refused whole:
each mistake is one line, file:line:column: what is wrong. Exit code 2 for mistakes, 7 for tests and for a host
that refused, 8 when somebody else changed the policies meanwhile, 10 when --wait ran out of time.`;

const ROLLBACK_EXAMPLES = `
Examples:
  trustplane policy history
  trustplane policy rollback 12 --reason 'CHG-7 locked out the batch jobs' --wait

The files of the version become a new version; nothing of the history is lost.`;

export function applyCommand(io: Io): Command {
  return withChange(withAdminSocket(new Command('apply'), io))
    .description('Give the control plane the policies that hold from now on.')
    .requiredOption('-f, --file <paths...>', 'policy files, and directories of them')
    .option('--dry-run', 'only check, and show what would change')
    .option('--skip-tests', 'apply although tests of the policies fail')
    .option('--force', 'make a version although nothing is new')
    .option('--repair', 'go on from what can be verified of a history that is broken')
    .addHelpText('after', APPLY_EXAMPLES)
    .action((options: ApplyOptions) => apply(io, options));
}

export function rollbackCommand(io: Io): Command {
  return withChange(withAdminSocket(new Command('rollback'), io))
    .description('Go back to the policies of an earlier version.')
    .argument('<version>', 'its number', count(1))
    .addHelpText('after', ROLLBACK_EXAMPLES)
    .action((version: number, options: ChangeOptions) => rollback(io, version, options));
}

function withChange(command: Command): Command {
  return command
    .requiredOption('--reason <text>', 'why; it stands in the history')
    .option('--author <text>', 'whose change it is, beside who is seen to make it')
    .option('--expected-version <number>', 'refuse unless this version is there', count(0))
    .option('--wait', 'until all connected hosts have it in force')
    .option('--timeout <duration>', 'of --wait (default: 1m)', timeoutMs, DEFAULT_TIMEOUT_MS);
}

async function apply(io: Io, options: ApplyOptions): Promise<void> {
  const files = await readPolicyFiles(options.file);
  await withClient(options, async (client) => {
    const { dryRun = false, skipTests = false, force = false, repair = false } = options;
    const flags = { isDryRun: dryRun, skipTests, isForced: force, isRepair: repair };
    const applied = await client.apply({ ...wordsOf(options), ...flags, files });
    refuse(applied, skipTests);
    const waited = await waitFor(client, options, applied);
    const value = { ...applied, ...(waited && { waited }) };
    print(io, options.output, value, formatApplied(applied, dryRun, waited));
  });
}

async function rollback(io: Io, version: number, options: ChangeOptions): Promise<void> {
  await withClient(options, async (client) => {
    const applied = await client.rollback({ version, ...wordsOf(options) });
    const waited = await waitFor(client, options, applied);
    const value = { version: applied.version, isNew: applied.isNew, ...(waited && { waited }) };
    print(io, options.output, value, formatApplied(applied, false, waited));
  });
}

function wordsOf({ reason, author, expectedVersion }: ChangeOptions) {
  return { reason, claimedAuthor: author, expectedVersion };
}

/** @throws TrustplaneError ERR_POLICY, ERR_POLICY_TEST */
function refuse({ complaints, failedTests, tests }: PolicyApplyView, skipTests: boolean): void {
  if (complaints.length > 0) throw new TrustplaneError('ERR_POLICY', complaints.join('\n'));
  if (failedTests.length === 0 || skipTests) return;
  const sum = `${tests - failedTests.length} passed, ${failedTests.length} failed; nothing was applied`;
  throw new TrustplaneError('ERR_POLICY_TEST', [...failedTests, sum].join('\n'));
}

async function waitFor(
  client: PolicyClient,
  { wait = false, timeout }: ChangeOptions,
  { version }: PolicyApplyView,
): Promise<WaitResult | undefined> {
  return wait && version !== null ? await awaitPolicies(client, version, timeout) : undefined;
}

function formatApplied(
  applied: PolicyApplyView,
  isDryRun: boolean,
  waited: WaitResult | undefined,
): string {
  const { version, isNew, changes, policies, rules, tests, digest } = applied;
  const checked = `${policies} policies with ${rules} rules are valid; ${tests} tests pass`;
  const failed = applied.failedTests.map((line) => `failed, and skipped: ${line}`);
  if (version === null || isDryRun) {
    const said = changes.length === 0 ? ['nothing changes'] : changes;
    return [checked, ...failed, `digest ${digest}`, ...said, 'nothing was applied'].join('\n');
  }
  const lines = [...failed, ...(isNew ? changes : ['nothing is new'])];
  lines.push(`${describeVersion(version)} ${isNew ? 'is made' : 'is there already'}`);
  if (version.follows !== null) lines.push(describeRepair(version));
  if (waited !== undefined) {
    lines.push(`in force at all that are connected (${waited.inForce}) after ${waited.ms} ms`);
    for (const id of waited.away) lines.push(`away: ${id}`);
  }
  return lines.join('\n');
}

/** The files at the paths, in order of their names. @throws TrustplaneError ERR_USAGE, ERR_FILE_* */
async function readPolicyFiles(paths: readonly string[]): Promise<readonly PolicyFileView[]> {
  const { readFileBounded } = await import('../ops/index.ts');
  const found = (await Promise.all(paths.map(listFiles))).flat();
  const names = new Set<string>();
  const files: PolicyFileView[] = [];
  for (const file of found.sort()) {
    const name = path.basename(file);
    if (!isPolicyFileName(name))
      throw new TrustplaneError('ERR_USAGE', `${file}: expected a name as in web.yaml`);
    if (names.has(name)) throw new TrustplaneError('ERR_USAGE', `two files have the name ${name}`);
    names.add(name);
    const content = await readFileBounded(file, policyTextLimits.fileBytes);
    if (content === undefined) throw new TrustplaneError('ERR_USAGE', `${file}: there is none`);
    files.push({ name, content });
  }
  if (files.length > 0) return files;
  throw new TrustplaneError('ERR_USAGE', `no policy files (*.yaml, *.yml) in ${paths.join(', ')}`);
}

/** Hidden files of a directory are none, as for an agent that follows one. */
async function listFiles(place: string): Promise<readonly string[]> {
  try {
    if (!(await stat(place)).isDirectory()) return [place];
    const names = (await readdir(place)).filter((name) => /^[^.].*\.ya?ml$/u.test(name));
    return names.map((name) => path.join(place, name));
  } catch (cause) {
    throw new TrustplaneError('ERR_USAGE', `${place}: ${messageOf(cause)}`, { cause });
  }
}
