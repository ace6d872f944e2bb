import path from 'node:path';
import { Command, Option } from 'commander';
import type { LoadedPolicies } from '../app/load-policies.ts';
import type { Policy } from '../authz/index.ts';
import type {
  CompiledRbac,
  EnvoyVersion,
  RbacMode,
  RbacOptions,
  RuleShare,
} from '../authz/rbac/index.ts';
import { quote, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { Io } from './io.ts';
import { missingPolicy } from './missing-policy.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { collect } from './options.ts';
import { formatTable } from './table.ts';

interface ExportOptions {
  readonly service?: string;
  readonly policyName?: string;
  readonly mode: RbacMode;
  readonly as: 'filters' | 'resource';
  readonly layout?: RbacOptions['layout'];
  readonly envoyVersion?: string;
  readonly trustDomain?: readonly string[];
  readonly tokenHeader?: readonly string[];
  readonly proxy?: readonly string[];
  readonly perRuleStats?: boolean;
  readonly split?: boolean;
  readonly output: 'yaml' | 'json';
  readonly outputFile?: string;
}

const HEADER = /^[\w!#$%&'*+.^`|~-]{1,256}$/u;

/** What Envoy gets, and of which policies. */
interface Exported {
  readonly compiled: CompiledRbac;
  /** The service, for people. */
  readonly service: string;
  readonly layout: RbacOptions['layout'];
  /** Undefined: not said. */
  readonly version: EnvoyVersion | undefined;
  readonly digest: string;
}

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

const kinds: Readonly<Record<RbacMode, string>> = {
  alone: 'rbac',
  'before-check': 'rbac-before-check',
  network: 'network-rbac',
};

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
    .option('--policy-name <name>', 'the name that the route gives the policies')
    .addOption(
      new Option(
        '--mode <mode>',
        'RBAC alone, RBAC in front of ext_authz, or RBAC of TCP connections',
      )
        .choices(Object.keys(kinds))
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
  const exported = await compile(await loadNamedPolicies(files), options);
  const { shares } = exported.compiled;
  if (options.split === true)
    return await deliver(
      io,
      options,
      options.output === 'json' ? json({ rules: shares }) : split(shares),
    );
  await deliver(io, options, await textOf(exported, options));
  io.err(`${summary(exported)}\n${split(shares)}`);
}

async function compile(loaded: LoadedPolicies, options: ExportOptions): Promise<Exported> {
  const { compileRbac, layoutFor, parseEnvoyVersion } = await import('../authz/rbac/index.ts');
  const { mode, envoyVersion } = options;
  const version = envoyVersion === undefined ? undefined : parseEnvoyVersion(envoyVersion);
  const policies = loaded.policies.map(({ policy }) => policy);
  const service = await serviceOf(policies, options);
  const layout =
    version === undefined ? (options.layout ?? 'nested') : layoutFor(version, options.layout);
  const target = mode === 'network' ? 'network' : 'http';
  const compiled = compileRbac({ policies, service, target, layout, terms: termsOf(options) });
  const name = service.spiffeId ?? service.contextExtension ?? '';
  return { compiled, service: name, layout, version, digest: loaded.plan.digest };
}

async function serviceOf(
  policies: readonly Policy[],
  { service, policyName }: ExportOptions,
): Promise<RbacOptions['service']> {
  if (service === undefined && policyName === undefined) return await onlyService(policies);
  const named = { spiffeId: service, contextExtension: policyName };
  const isAny = policies.some(({ service: of }) =>
    'contextExtension' in of
      ? of.contextExtension === policyName
      : service !== undefined && of.matches(service),
  );
  if (isAny) return named;
  const why = missingPolicy(
    named,
    policies.map((policy) => ({ policy })),
  );
  throw new TrustplaneError('ERR_USAGE', `there is nothing to export: ${why}`);
}

async function onlyService(policies: readonly Policy[]): Promise<RbacOptions['service']> {
  const { sampleService } = await import('../authz/index.ts');
  const [first, ...others] = policies.map(sampleService);
  const isOne = others.every(
    (other) =>
      other.spiffeId === first?.spiffeId && other.contextExtension === first?.contextExtension,
  );
  if (first !== undefined && isOne) return first;
  throw new TrustplaneError(
    'ERR_USAGE',
    'the policies are for several services, and an Envoy runs the rules of one; name it with --service or --policy-name',
  );
}

function termsOf(options: ExportOptions): RbacOptions['terms'] {
  const { trustDomain, tokenHeader = [], proxy = [] } = options;
  return {
    trusted: trustDomain?.map((name) => ({
      trustDomain: TrustDomain.parse(name).name,
      accept: undefined,
    })),
    revokedIds: [],
    revokedSerials: [],
    isBlind: false,
    tokenHeaders: tokenHeader.map(headerName),
    proxies: proxy,
    jwt: { namespace: 'envoy.filters.http.jwt_authn', payloadKey: 'jwt_payload' },
  };
}

function headerName(name: string): string {
  if (HEADER.test(name)) return name.toLowerCase();
  throw new TrustplaneError(
    'ERR_USAGE',
    `--token-header is the name of a header; got ${quote(name)}`,
  );
}

async function textOf(exported: Exported, options: ExportOptions): Promise<string> {
  const { discoverFilters, hasConnectionState, messageFor, rbacJson, staticFilters } = await import(
    '../authz/rbac/index.ts'
  );
  const { mode, output } = options;
  const name = `trustplane.${kinds[mode]}`;
  const hasState = hasConnectionState(exported.version);
  const message = messageFor(mode, exported.compiled, options.perRuleStats === true);
  const resource = {
    '@type': 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
    name,
    typed_config: rbacJson(message),
  };
  const value =
    options.as === 'resource'
      ? { version_info: exported.digest, resources: [resource] }
      : staticFilters(mode, name, message, hasState);
  if (output === 'json') return json(value);
  const use =
    options.as === 'resource' ? discoverFilters(mode, name, fileOf(options), hasState) : undefined;
  return await yamlOf(value, exported, mode, use);
}

function fileOf({ outputFile = '/etc/envoy/rules.yaml' }: ExportOptions): string {
  return path.resolve(outputFile);
}

async function yamlOf(
  value: object,
  exported: Exported,
  mode: RbacMode,
  use: readonly object[] | undefined,
): Promise<string> {
  const { stringify } = await import('yaml');
  const { askUnlessAllowed, sourceOfConnection } = await import('../authz/rbac/index.ts');
  const print = (one: object): string =>
    stringify(one, { lineWidth: 0, aliasDuplicateObjects: false });
  const head = comment(summary(exported));
  const filters = print(value);
  const taken = use && `these filters take it:\n${print(use)}`;
  const front = `this stands before the connection manager, as the rules ask where connections come from:\n${print([sourceOfConnection])}`;
  const behind = `ext_authz stands behind these, with these fields beside its own:\n${print(askUnlessAllowed)}`;
  return [
    head,
    taken === undefined ? '' : comment(taken),
    filters,
    filters.includes('key: tp.source\n') ? comment(front) : '',
    mode === 'before-check' ? comment(behind) : '',
  ].join('');
}

function comment(text: string): string {
  return text.trimEnd().replace(/^/gmu, '# ') + '\n';
}

function summary({ service, layout, digest, compiled: { shares } }: Exported): string {
  const count = (who: RuleShare['decidedBy']): number =>
    shares.filter(({ decidedBy }) => decidedBy === who).length;
  return [
    `rules of ${service} for Envoy, layout ${layout}, policy digest ${digest}`,
    `decided by Envoy: ${count('envoy')}, in part: ${count('both')}, by Check alone: ${count('check')}`,
  ].join('\n');
}

function split(shares: readonly RuleShare[]): string {
  const rows = shares.map(({ policy, rule, effect, decidedBy, why }) => [
    `${policy}/${rule}`,
    effect,
    decidedBy,
    why ?? '-',
  ]);
  return `${rows.length === 0 ? 'no rules: all is denied' : formatTable(['rule', 'effect', 'decided by', 'why'], rows)}\n`;
}

async function deliver(io: Io, { outputFile }: ExportOptions, text: string): Promise<void> {
  if (outputFile === undefined) {
    io.out(text);
    return;
  }
  const { writeFileAtomic } = await import('../ops/index.ts');
  await writeFileAtomic(outputFile, Buffer.from(text), { mode: 0o644 });
}

function json(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
