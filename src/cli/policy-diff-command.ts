import { Command, Option } from 'commander';
import type { ChangeKind, PolicyDiff, WitnessTest } from '../authz/analysis/index.ts';
import { Finished, type Io, print } from './io.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { type OutputOptions, withOutput } from './options.ts';

interface DiffOptions extends OutputOptions {
  readonly failOn?: ChangeKind;
}

const EXAMPLES = `
Examples:
  trustplane policy diff policies.before/ policies/
  trustplane policy diff old.yaml new.yaml --output json
  trustplane policy diff main/policies/ policies/ --fail-on widened       a change that grants nothing new passes

Every decision that differs is told, grouped by the rules that decided before and after, with a request as an entry
of tests that the new policies pass. Exit code 0 if nothing differs, else 1; with --fail-on 1 only for that kind.`;

const marks: Readonly<Record<ChangeKind, string>> = { widened: '+', narrowed: '-', remapped: '~' };

export function diffCommand(io: Io): Command {
  return withOutput(new Command('diff'))
    .description('Tell which requests two sets of policies decide differently.')
    .argument('<old>', 'policy file (YAML), or directory of them')
    .argument('<new>', 'the same, changed')
    .addOption(
      new Option(
        '--fail-on <kind>',
        'what makes the exit code 1 (default: any difference)',
      ).choices(Object.keys(marks)),
    )
    .addHelpText('after', EXAMPLES)
    .action((before: string, after: string, options: DiffOptions) =>
      diff(io, before, after, options),
    );
}

async function diff(io: Io, before: string, after: string, options: DiffOptions): Promise<void> {
  const { diffPolicies, formatTest } = await import('../authz/analysis/index.ts');
  const [old, young] = await Promise.all(
    [before, after].map(async (name) => {
      const { policies } = await loadNamedPolicies([name], true);
      return policies.map(({ policy }) => policy);
    }),
  );
  const found = diffPolicies(old ?? [], young ?? []);
  const value = {
    changes: found.changes.map(({ witness, ...change }) => ({ ...change, request: witness.text })),
    settings: found.settings,
    terms: found.terms,
  };
  print(io, options.output, value, formatDiff(found, formatTest));
  const { failOn } = options;
  const isFailed =
    failOn === undefined
      ? found.changes.length + found.settings.length > 0
      : [...found.changes, ...found.terms].some(({ kind }) => kind === failOn);
  if (isFailed) throw new Finished(1);
}

function formatDiff(
  { changes, settings, terms }: PolicyDiff,
  formatTest: (test: WitnessTest) => string,
): string {
  const said = changes.flatMap(({ kind, service, before, after, classes, test }) => [
    `${marks[kind]} ${kind} at ${service.spiffeId ?? service.contextExtension ?? ''}: ${listed(before)} -> ${listed(after)} (${classes} ${classes === 1 ? 'class' : 'classes'} of requests)`,
    `    ${formatTest(test)}`,
  ]);
  const set = settings.map(
    ({ policy, setting, before, after }) => `~ ${policy}: ${setting}: ${before} -> ${after}`,
  );
  const general = terms.map(
    ({ kind, service, what }) =>
      `${marks[kind]} ${kind} at ${service.spiffeId ?? service.contextExtension ?? ''}: ${what}`,
  );
  const lines = [...said, ...general, ...set];
  return lines.length === 0 ? 'no decision differs' : lines.join('\n');
}

function listed(rules: readonly string[]): string {
  return rules.length === 0 ? 'no rule' : rules.join(' and ');
}
