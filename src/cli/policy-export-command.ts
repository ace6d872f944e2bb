import { Command, Option } from 'commander';
import type { Io } from './io.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { collect } from './options.ts';
import { compileService, type ExportOptions } from './service-rules.ts';
import { formatJson, formatRules, formatSplit, formatSummary } from './service-rules-text.ts';

const EXAMPLES = `
Examples:
  trustplane policy export --format envoy-rbac policies/ --service spiffe://prod.example/ns/payments/sa/api
  trustplane policy export --format envoy-rbac payments.yaml --mode before-check --envoy-version 1.38
  trustplane policy export --format envoy-rbac payments.yaml --as resource --output-file /etc/envoy/rules.yaml
  trustplane policy export --format envoy-rbac payments.yaml --split

Printed are http_filters (for network: filters) in their order, or with --as resource a file for
path_config_source. Who decides by which rule, and why, is told on standard error, with --split instead of the
filters. What Envoy does not decide is denied by the modes alone and network, and left to ext_authz by before-check.
How rules become RBAC is in docs/reference/envoy-rbac.md.`;

export function exportCommand(io: Io): Command {
  return new Command('export')
    .description('Write the rules of a service in the language of another program.')
    .argument('<files...>', 'policy files (YAML), or directories of them')
    .addOption(
      new Option('--format <format>', 'which language')
        .choices(['envoy-rbac'])
        .makeOptionMandatory(),
    )
    .option('--service <spiffe-id>', 'which service, where the policies have several')
    .option('--policy-name <name>', 'contextExtension of policies, beside those of --service')
    .addOption(
      new Option(
        '--mode <mode>',
        'RBAC alone, RBAC in front of ext_authz, or RBAC of TCP connections',
      )
        .choices(['alone', 'before-check', 'network'])
        .default('alone'),
    )
    .addOption(
      new Option('--as <form>', 'filters, or the resource of a file for path_config_source')
        .choices(['filters', 'resource'])
        .default('filters'),
    )
    .option('--envoy-version <version>', 'of the Envoy that reads it, as in 1.38')
    .addOption(
      new Option(
        '--layout <layout>',
        'form of the trees (default: the best that Envoy reads)',
      ).choices(['nested', 'flat-denies']),
    )
    .option(
      '--trust-domain <name>',
      'one whose callers are trusted (may be repeated; default: whoever Envoy verified)',
      collect,
    )
    .option(
      '--token-header <name>',
      'header in which JWT-SVIDs are shown (may be repeated)',
      collect,
    )
    .option(
      '--proxy <pattern>',
      'SPIFFE IDs of proxies that speak for others (may be repeated)',
      collect,
    )
    .option('--per-rule-stats', 'have Envoy count decisions by rule')
    .option('--split', 'print who decides by which rule instead')
    .addOption(
      new Option('-o, --output <format>', 'how it is printed')
        .choices(['yaml', 'json'])
        .default('yaml'),
    )
    .option('--output-file <file>', 'write it there, as one step')
    .addHelpText('after', EXAMPLES)
    .action((files: string[], options: ExportOptions) => run(io, files, options));
}

async function run(io: Io, files: readonly string[], options: ExportOptions): Promise<void> {
  const rules = await compileService(await loadNamedPolicies(files), options);
  const { shares } = rules.compiled;
  if (options.split === true)
    return await deliver(
      io,
      options,
      options.output === 'json' ? formatJson({ rules: shares }) : formatSplit(shares),
    );
  await deliver(io, options, await formatRules(rules, options));
  io.err(`${formatSummary(rules)}\n${formatSplit(shares)}`);
}

async function deliver(io: Io, { outputFile }: ExportOptions, text: string): Promise<void> {
  if (outputFile === undefined) {
    io.out(text);
    return;
  }
  const { writeFileAtomic } = await import('../ops/index.ts');
  await writeFileAtomic(outputFile, Buffer.from(text), { mode: 0o644 });
}
