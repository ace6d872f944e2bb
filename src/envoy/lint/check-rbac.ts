import { type ConfigNode, fieldName } from './config-node.ts';
import {
  type EnvoyView,
  type Filter,
  filtersOf,
  isAskedAfter,
  isAuthorization,
} from './envoy-view.ts';
import type { Part } from './find-parts.ts';
import type { LintReport } from './lint-report.ts';
import { isForeignName, isOpenId } from './open-pattern.ts';
import { allowsOtherwise, letsAllIn, RBAC_ACTIONS } from './rbac-effect.ts';

/** Rules that Envoy decides by itself. */
export function checkRbac(envoy: EnvoyView, report: LintReport): void {
  for (const part of envoy.of('rbac')) {
    // What decides until a filter has come is looked at where it comes from.
    if (part.scope['extension-discovery'] !== undefined) continue;
    if (part.scope['rbac-per-route'] === undefined) checkEffect(part, report);
    checkRules(part.node, report);
  }
}

function checkEffect({ node, scope }: Part, report: LintReport): void {
  const owner = scope.hcm ?? scope['filter-chain'];
  const filters =
    owner === undefined
      ? []
      : filtersOf(owner, scope.hcm === undefined ? 'filters' : 'http_filters');
  const rules = node.get('rules');
  if (rules?.choice(RBAC_ACTIONS, 'action') === 'LOG') {
    if (owner !== undefined && !filters.some(isAuthorization))
      report.add('rbac-logs-only', rules.get('action') ?? rules);
    return;
  }
  if (letsAllIn(node)) return report.add('rbac-allows-all', node);
  if (owner !== undefined && !isAskedAfter(scope) && allowsOtherwise(node.get('matcher')))
    report.add('rbac-allows-the-rest', node.get('matcher', 'on_no_match') ?? node);
}

function checkRules(rbac: ConfigNode, report: LintReport): void {
  const rules = rbac.get('rules');
  const isAllow = (rules?.choice(RBAC_ACTIONS, 'action') ?? 'ALLOW') === 'ALLOW';
  for (const { value: policy } of rules?.get('policies')?.members ?? []) {
    const permissions = policy.list('permissions');
    const principals = policy.list('principals');
    for (const one of permissions) checkTree(one, isAllow, report);
    for (const one of principals) checkTree(one, isAllow, report);
    if (!isAllow) continue;
    const isConditional =
      policy.get('condition') !== undefined || policy.get('checked_condition') !== undefined;
    if (permissions.some(isAny) && principals.some(isAny) && !isConditional)
      report.add('rbac-allows-anyone', policy);
    for (const one of principals)
      if (hasNot(one) && !isPositive(one)) report.add('rbac-only-not', one);
  }
  const matcher = rbac.get('matcher');
  if (matcher !== undefined)
    for (const input of inputsOf(matcher))
      if (headerOf(input) === ':path') report.add('rbac-path-with-query', input);
  if (matcher !== undefined) checkMatcher(matcher, report);
}

/** IDs that lead to an allow; a tree whose first entry is another matcher may have guarded them before. */
function checkMatcher(matcher: ConfigNode, report: LintReport): void {
  for (const entry of matcher.list('matcher_list', 'matchers')) {
    const action = entry.get('on_match', 'action', 'typed_config');
    const predicate = entry.get('predicate');
    const isAllow =
      action !== undefined && (action.choice(RBAC_ACTIONS, 'action') ?? 'ALLOW') === 'ALLOW';
    if (isAllow && predicate !== undefined) checkIds(predicate, report);
    const inner = entry.get('on_match', 'matcher');
    if (inner !== undefined) checkMatcher(inner, report);
  }
  const otherwise = matcher.get('on_no_match', 'matcher');
  if (otherwise !== undefined) checkMatcher(otherwise, report);
}

function checkIds(predicate: ConfigNode, report: LintReport): void {
  const single = predicate.get('single_predicate');
  const value = single?.get('value_match');
  const isId = single?.get('input', 'typed_config')?.typeName?.endsWith('.UriSanInput') === true;
  if (isId && value !== undefined && isOpenId(value)) report.add('rbac-principal-open', value);
  const all = [
    ...predicate.list('and_matcher', 'predicate'),
    ...predicate.list('or_matcher', 'predicate'),
  ];
  for (const one of all) checkIds(one, report);
}

/** A permission or principal, with those in it. */
function checkTree(node: ConfigNode, isAllow: boolean, report: LintReport): void {
  for (const { key, value } of node.members) {
    const field = fieldName(key);
    if (field === 'and_rules' || field === 'or_rules')
      for (const one of value.list('rules')) checkTree(one, isAllow, report);
    else if (field === 'and_ids' || field === 'or_ids')
      for (const one of value.list('ids')) checkTree(one, isAllow, report);
    else if (field === 'not_rule' || field === 'not_id') checkTree(value, !isAllow, report);
    else if (field === 'header' && value.text('name')?.toLowerCase() === ':path')
      report.add('rbac-path-with-query', value);
    else if (field === 'url_path' && isAllow && isOpenPath(value))
      report.add('rbac-path-open', value);
    else if (field === 'authenticated') checkName(value, isAllow, report);
  }
}

function checkName(authenticated: ConfigNode, isAllow: boolean, report: LintReport): void {
  const name = authenticated.get('principal_name');
  if (name === undefined) {
    if (isAllow) report.add('rbac-any-authenticated', authenticated);
  } else if (isForeignName(name)) report.add('rbac-not-a-spiffe-id', name);
  else if (isAllow && isOpenId(name)) report.add('rbac-principal-open', name);
}

function isOpenPath(matcher: ConfigNode): boolean {
  const prefix = matcher.text('path', 'prefix');
  return prefix !== undefined && !prefix.endsWith('/');
}

function isAny(node: ConfigNode): boolean {
  if (node.isTrue('any')) return true;
  const all = [...node.list('and_rules', 'rules'), ...node.list('and_ids', 'ids')];
  const some = [...node.list('or_rules', 'rules'), ...node.list('or_ids', 'ids')];
  return (all.length > 0 && all.every(isAny)) || some.some(isAny);
}

/** Whether a principal asks for something that one must have. */
function isPositive(node: ConfigNode): boolean {
  if (node.get('not_id') !== undefined || node.isTrue('any')) return false;
  const all = node.list('and_ids', 'ids');
  const some = node.list('or_ids', 'ids');
  if (all.length > 0) return all.some(isPositive);
  return some.every(isPositive);
}

function hasNot(node: ConfigNode): boolean {
  return (
    node.get('not_id') !== undefined ||
    [...node.list('and_ids', 'ids'), ...node.list('or_ids', 'ids')].some(hasNot)
  );
}

/** Every input that a matcher reads. */
function inputsOf(matcher: ConfigNode): readonly ConfigNode[] {
  const found: ConfigNode[] = [];
  const walk = (node: ConfigNode): void => {
    if (node.content.kind === 'list') node.content.items.forEach(walk);
    for (const { key, value } of node.members) {
      const config = key === 'input' ? value.get('typed_config') : undefined;
      if (config !== undefined) found.push(config);
      else walk(value);
    }
  };
  walk(matcher);
  return found;
}

function headerOf(input: ConfigNode): string | undefined {
  return input.typeName?.endsWith('.HttpRequestHeaderMatchInput') === true
    ? input.text('header_name')?.toLowerCase()
    : undefined;
}

const HOST_HEADERS: readonly (string | undefined)[] = [':authority', 'host'];

/** Whether rules name hosts. */
export function matchesHosts(rbac: ConfigNode): boolean {
  const matcher = rbac.get('matcher');
  if (
    matcher !== undefined &&
    inputsOf(matcher).some((one) => HOST_HEADERS.includes(headerOf(one)))
  )
    return true;
  return conditionsOf(rbac).some(
    ([field, value]) =>
      field === 'header' && HOST_HEADERS.includes(value.text('name')?.toLowerCase()),
  );
}

/** Whether rules ask for the address that x-forwarded-for may say. */
export function readsForwardedAddress(rbac: ConfigNode): boolean {
  const matcher = rbac.get('matcher');
  if (matcher !== undefined && inputsOf(matcher).some(isSourceIp)) return true;
  return conditionsOf(rbac).some(([field]) => field === 'remote_ip');
}

/** Whether rules ask for the address that nobody but the peer itself has, whatever PROXY says. */
export function readsPeerAddress(rbac: ConfigNode): boolean {
  const matcher = rbac.get('matcher');
  const isDirect = (input: ConfigNode): boolean =>
    input.typeName?.endsWith('.DirectSourceIPInput') === true;
  if (matcher !== undefined && inputsOf(matcher).some(isDirect)) return true;
  return conditionsOf(rbac).some(([field]) => field === 'direct_remote_ip');
}

function isSourceIp(input: ConfigNode): boolean {
  return input.typeName?.endsWith('.SourceIPInput') === true;
}

/** Every condition of an RBAC's policies, by its field. */
function conditionsOf(rbac: ConfigNode): readonly (readonly [string, ConfigNode])[] {
  const found: (readonly [string, ConfigNode])[] = [];
  const walk = (node: ConfigNode): void => {
    for (const { key, value } of node.members) {
      const field = fieldName(key);
      if (/^(?:and|or)_(?:rules|ids)$/u.test(field))
        [...value.list('rules'), ...value.list('ids')].forEach(walk);
      else if (field === 'not_rule' || field === 'not_id') walk(value);
      else found.push([field, value]);
    }
  };
  for (const { value } of rbac.get('rules', 'policies')?.members ?? [])
    [...value.list('permissions'), ...value.list('principals')].forEach(walk);
  return found;
}

/** Whether a filter's rules read a filter state: of ours that come over the wire, all but those for connections do. */
export function readsState({ kind, config, name }: Filter, key: string): boolean {
  if (kind !== 'rbac') return false;
  if (config === undefined) return name.startsWith('trustplane.');
  const matcher = config.get('matcher');
  return matcher !== undefined && inputsOf(matcher).some((input) => input.text('key') === key);
}
