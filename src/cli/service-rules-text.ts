import path from 'node:path';
import type { RbacMode, RuleShare } from '../authz/rbac/index.ts';
import type { ExportOptions, ServiceRules } from './service-rules.ts';
import { formatTable } from './table.ts';

const extensionKinds: Readonly<Record<RbacMode, string>> = {
  alone: 'rbac',
  'before-check': 'rbac-before-check',
  network: 'network-rbac',
};

/** As it is written for Envoy. */
export async function formatRules(rules: ServiceRules, options: ExportOptions): Promise<string> {
  const { discoverFilters, hasConnectionState, messageFor, rbacJson, staticFilters } = await import(
    '../authz/rbac/index.ts'
  );
  const { mode, output } = options;
  const name = `trustplane.${extensionKinds[mode]}`;
  const hasState = hasConnectionState(rules.version);
  const message = messageFor(mode, rules.compiled, options.perRuleStats === true);
  const resource = {
    '@type': 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig',
    name,
    typed_config: rbacJson(message),
  };
  const value =
    options.as === 'resource'
      ? { version_info: rules.digest, resources: [resource] }
      : staticFilters(mode, name, message, hasState);
  if (output === 'json') return formatJson(value);
  const use =
    options.as === 'resource' ? discoverFilters(mode, name, fileOf(options), hasState) : undefined;
  return await yamlOf(value, rules, mode, use);
}

function fileOf({ outputFile = '/etc/envoy/rules.yaml' }: ExportOptions): string {
  return path.resolve(outputFile);
}

async function yamlOf(
  value: object,
  rules: ServiceRules,
  mode: RbacMode,
  use: readonly object[] | undefined,
): Promise<string> {
  const { stringify } = await import('yaml');
  const { askUnlessAllowed, sourceOfConnection } = await import('../authz/rbac/index.ts');
  const print = (one: object): string =>
    stringify(one, { lineWidth: 0, aliasDuplicateObjects: false });
  const head = comment(formatSummary(rules));
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

/** How much of it Envoy decides, in two lines. */
export function formatSummary({
  service,
  layout,
  digest,
  compiled: { shares },
}: ServiceRules): string {
  const count = (who: RuleShare['decidedBy']): number =>
    shares.filter(({ decidedBy }) => decidedBy === who).length;
  return [
    `rules of ${service} for Envoy, layout ${layout}, policy digest ${digest}`,
    `decided by Envoy: ${count('envoy')}, in part: ${count('both')}, by Check alone: ${count('check')}`,
  ].join('\n');
}

/** Who decides by which rule, and why. */
export function formatSplit(shares: readonly RuleShare[]): string {
  const rows = shares.map(({ policy, rule, effect, decidedBy, why }) => [
    `${policy}/${rule}`,
    effect,
    decidedBy,
    why ?? '-',
  ]);
  return `${rows.length === 0 ? 'no rules: all is denied' : formatTable(['rule', 'effect', 'decided by', 'why'], rows)}\n`;
}

export function formatJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
