import { Command } from 'commander';
import type { ApplyClient, BundleClient } from '../client/index.ts';
import { systemClock } from '../ops/system-clock.ts';
import { type Bundle, bundleDigest, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { formatOutcome, formatPlan, refuse, viewOf } from './apply-text.ts';
import { type Io, print } from './io.ts';
import { toApply } from './load-documents.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { readInput } from './read-input.ts';
import { clientOf } from './with-client.ts';

const MAX_BYTES = 268_435_456;

interface SpireOptions extends AdminOptions {
  readonly entries?: string;
  readonly bundles?: string;
  readonly federation?: string;
  readonly set: string;
  readonly dryRun?: boolean;
  readonly takeOver?: boolean;
}

const EXAMPLES = `
Examples:
  spire-server entry show -output json > entries.json
  spire-server bundle list -output json > bundles.json
  spire-server federation list -output json > federation.json
  trustplane import spire --entries entries.json --bundles bundles.json --federation federation.json --dry-run

Entries keep their IDs. What is there already is not made twice, and nothing is removed. What cannot be taken
over is named.`;

export function importCommand(io: Io): Command {
  return new Command('import')
    .description('Take over what other control planes have.')
    .addHelpText('after', '\nExamples:\n  trustplane import spire --entries entries.json')
    .addCommand(
      withAdminSocket(new Command('spire'), io)
        .description('Take over entries, bundles and relationships that spire-server printed.')
        .option('--entries <file>', 'of spire-server entry show -output json')
        .option('--bundles <file>', 'of spire-server bundle list -output json')
        .option('--federation <file>', 'of spire-server federation list -output json')
        .option('--set <name>', 'name of the set that keeps them from then on', 'spire')
        .option('--dry-run', 'only show what would change')
        .option('--take-over', 'take also what another set keeps')
        .addHelpText('after', EXAMPLES)
        .action((options: SpireOptions) => importSpire(io, options)),
    );
}

async function importSpire(io: Io, options: SpireOptions): Promise<void> {
  const { entries, bundles, federation } = options;
  if ((entries ?? bundles ?? federation) === undefined)
    throw new TrustplaneError('ERR_USAGE', 'expected --entries, --bundles or --federation');
  await withApply(options, async (client) => {
    const read = await readSpire(options, await client.trustDomain());
    await withBundles(options, async (bundleClient) => {
      await carryOver(io, options, client, bundleClient, read);
    });
  });
}

const withApply = clientOf(({ createApplyClient }) => createApplyClient);
const withBundles = clientOf(({ createBundleClient }) => createBundleClient);

async function carryOver(
  io: Io,
  options: SpireOptions,
  client: ApplyClient,
  bundleClient: BundleClient,
  read: Awaited<ReturnType<typeof readSpire>>,
): Promise<void> {
  const { set, dryRun = false, takeOver } = options;
  const newer = await findNewer(bundleClient, read.bundles);
  const documents = { ...toApply(read), set, takeOver, idsAreHints: true };
  const preview = await client.apply({ ...documents, dryRun: true });
  refuse(preview);
  // Whoever fetches the next bundle of a relationship needs this one.
  if (!dryRun) for (const bundle of newer) await bundleClient.set(bundle, false);
  const expectedPlan = preview.plan.digest;
  const applied = dryRun ? preview : await client.apply({ ...documents, expectedPlan });
  const names = newer.map(({ trustDomain }) => trustDomain.name);
  const text = [
    formatPlan(applied.plan),
    ...names.map((name) => `bundle of ${name}: ${dryRun ? 'to be taken' : 'taken'} over`),
    ...read.left.map((line) => `not taken over: ${line}`),
    formatOutcome(applied),
  ];
  const view = { ...viewOf(applied), bundles: names, left: read.left };
  print(io, options.output, view, text.join('\n'));
  if (applied.outcome?.failure !== undefined) throw applied.outcome.failure;
}

async function readSpire(options: SpireOptions, trustDomain: TrustDomain) {
  const parse = await import('../apply/index.ts');
  const textOf = async (file: string): Promise<string> =>
    Buffer.from(await readInput(file, MAX_BYTES)).toString('utf8');
  const { entries, bundles, federation } = options;
  const rules = { trustDomain, now: systemClock.now() };
  const read = {
    entries:
      entries === undefined
        ? undefined
        : parse.parseSpireEntries(await textOf(entries), entries, rules),
    bundles:
      bundles === undefined
        ? undefined
        : parse.parseSpireBundles(await textOf(bundles), bundles, trustDomain),
    federation:
      federation === undefined
        ? undefined
        : parse.parseSpireRelationships(await textOf(federation), federation, trustDomain),
  };
  const all = [...(read.bundles?.bundles ?? []), ...(read.federation?.bundles ?? [])];
  return {
    entries: read.entries?.entries ?? [],
    relationships: read.federation?.relationships ?? [],
    bundles: [...new Map(all.map((bundle) => [bundle.trustDomain.name, bundle])).values()],
    left: [read.entries, read.bundles, read.federation].flatMap((one) => one?.left ?? []),
  };
}

/** Those that are not there, or as older ones. */
async function findNewer(
  client: BundleClient,
  bundles: readonly Bundle[],
): Promise<readonly Bundle[]> {
  if (bundles.length === 0) return [];
  const present = new Map(
    (await client.listFederated()).map((bundle) => [bundle.trustDomain.name, bundle]),
  );
  return bundles.filter((bundle) => {
    const before = present.get(bundle.trustDomain.name);
    if (before === undefined) return true;
    if (bundleDigest(before) === bundleDigest(bundle)) return false;
    return (bundle.sequenceNumber ?? 0n) > (before.sequenceNumber ?? 0n);
  });
}
