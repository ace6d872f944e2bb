import { Command } from 'commander';
import { TrustplaneError } from '../spiffe/index.ts';
import { formatOutcome, formatPlan, refuse, viewOf } from './apply-text.ts';
import { Finished, type Io, print } from './io.ts';
import { loadDocuments } from './load-documents.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createApplyClient }) => createApplyClient);

interface SetOptions extends AdminOptions {
  readonly file: readonly string[];
  readonly set: string;
  readonly takeOver?: boolean;
}

interface ApplyOptions extends SetOptions {
  readonly prune?: boolean;
  readonly dryRun?: boolean;
  readonly allowRemovals?: boolean;
  readonly expect?: string;
}

const APPLY_EXAMPLES = `
Examples:
  trustplane apply -f entries/ --dry-run
  trustplane apply -f entries/ --prune
  trustplane apply -f entries/ --prune --expect 5f0c…      only what the dry run showed

Documents are of kind RegistrationEntry and FederationRelationship. A mistake in one of them, and nothing is
changed; each mistake is one line, file:line:column: field: what was expected, got what came. Exit code 2 for
mistakes, 7 when the documents do not fit what is there, 8 when somebody else changed it meanwhile.`;

const DIFF_EXAMPLES = `
Examples:
  trustplane diff -f entries/
  trustplane diff -f entries/ --output json

Exit code 1 when something differs from what the documents say.`;

export function applyCommand(io: Io): Command {
  return withSet(withAdminSocket(new Command('apply'), io))
    .description('Make entries and relationships as documents say: those are all the set has.')
    .option('--prune', 'remove what the set has and no document says')
    .option('--dry-run', 'only show what would change, and what that means for running workloads')
    .option('--allow-removals', 'remove also everything, or more than half of what the set has')
    .option('--expect <plan>', 'apply only if the plan is the one that --dry-run showed')
    .addHelpText('after', APPLY_EXAMPLES)
    .action((options: ApplyOptions) => apply(io, options));
}

export function diffCommand(io: Io): Command {
  return withSet(withAdminSocket(new Command('diff'), io))
    .description('Show where entries and relationships differ from what documents say.')
    .addHelpText('after', DIFF_EXAMPLES)
    .action((options: SetOptions) => diff(io, options));
}

function withSet(command: Command): Command {
  return command
    .requiredOption('-f, --file <paths...>', 'files, directories of them, - for standard input')
    .option('--set <name>', 'name of the set that the documents are', 'default')
    .option('--take-over', 'take also what another set keeps');
}

async function apply(io: Io, options: ApplyOptions): Promise<void> {
  const { prune, dryRun, allowRemovals, expect } = options;
  await withClient(options, async (client) => {
    const documents = await loadDocuments(io, client, options.file, prune === true);
    const flags = { prune, dryRun, allowRemovals, expectedPlan: planDigest(expect) };
    const applied = await client.apply({ ...documents, ...setOf(options), ...flags });
    refuse(applied);
    const text = `${formatPlan(applied.plan)}\n${formatOutcome(applied)}`;
    print(io, options.output, viewOf(applied), text);
    if (applied.outcome?.failure !== undefined) throw applied.outcome.failure;
  });
}

async function diff(io: Io, options: SetOptions): Promise<void> {
  await withClient(options, async (client) => {
    const documents = await loadDocuments(io, client, options.file, true);
    const applied = await client.apply({
      ...documents,
      ...setOf(options),
      prune: true,
      dryRun: true,
      allowRemovals: true,
    });
    refuse(applied);
    print(io, options.output, viewOf(applied), formatPlan(applied.plan));
    if (applied.plan.changes.length > 0) throw new Finished(1);
  });
}

function setOf({ set, takeOver }: SetOptions) {
  return { set, takeOver };
}

function planDigest(text: string | undefined): string | undefined {
  if (text === undefined || /^[0-9a-f]{64}$/u.test(text)) return text;
  throw new TrustplaneError(
    'ERR_USAGE',
    '--expect: expected the 64 hex digits that --dry-run shows',
  );
}
