import { readsState } from './check-rbac.ts';
import type { ConfigNode } from './config-node.ts';
import {
  type EnvoyView,
  type Filter,
  filtersOf,
  isAuthorization,
  verifiesCallers,
} from './envoy-view.ts';
import type { Part } from './find-parts.ts';
import type { LintReport } from './lint-report.ts';

const API_VERSIONS: readonly string[] = ['AUTO', 'V2', 'V3'];
const MAX_TIMEOUT_SECONDS = 2;
const TIMEOUT = '0.2s';
const DENOMINATORS: readonly string[] = ['HUNDRED', 'TEN_THOUSAND', 'MILLION'];
const SUCCESS =
  /^(?:Continue|OK|Created|Accepted|NonAuthoritativeInformation|NoContent|ResetContent|PartialContent|MultiStatus|AlreadyReported|IMUsed|MultipleChoices|MovedPermanently|Found|SeeOther|NotModified|UseProxy|TemporaryRedirect|PermanentRedirect)$/iu;
/** They answer by themselves. */
const ANSWERS = /\.filters\.http\.(?:cache|cache_v2|aws_lambda|file_server)\./u;
/** They may rewrite what was allowed. */
const REWRITES =
  /\.filters\.http\.(?:lua|wasm|ext_proc|header_mutation|golang|dynamic_modules|header_to_metadata)\./u;

/** How Envoy asks for decisions, and whether everything is asked about. */
export function checkAuthz(envoy: EnvoyView, report: LintReport): void {
  for (const part of envoy.of('ext-authz')) checkHttpFilter(part, report);
  for (const part of envoy.of('ext-authz', 'network-ext-authz')) checkQuestion(part, report);
  for (const { node } of envoy.of('hcm')) checkHttpOrder(node, report);
  for (const { node } of envoy.of('filter-chain'))
    checkOrder(filtersOf(node, 'filters'), ['hcm', 'tcp-proxy'], report);
  checkRoutes(envoy, report);
}

function checkQuestion({ node, scope }: Part, report: LintReport): void {
  if (node.isTrue('failure_mode_allow'))
    report.want('failure-mode-allow', node, ['failure_mode_allow'], false);
  if (node.isTrue('failure_mode_allow_header_add'))
    report.want('failure-mode-header', node, ['failure_mode_allow_header_add'], false);
  const service = node.get('grpc_service');
  if (service === undefined) return;
  if (node.choice(API_VERSIONS, 'transport_api_version') !== 'V3')
    report.want('api-version-missing', node, ['transport_api_version'], 'V3');
  if (verifiesCallers(scope['filter-chain']) && !node.isTrue('include_peer_certificate'))
    report.want('peer-certificate-not-sent', node, ['include_peer_certificate'], true);
  const seconds = service.seconds('timeout');
  if (seconds === undefined) report.want('authz-timeout-default', service, ['timeout'], TIMEOUT);
  else if (seconds <= 0 || seconds > MAX_TIMEOUT_SECONDS)
    report.want('authz-timeout-long', service, ['timeout'], TIMEOUT);
}

function checkHttpFilter({ node }: Part, report: LintReport): void {
  const code = node.number('status_on_error', 'code');
  const name = node.text('status_on_error', 'code') ?? '';
  if ((code !== undefined && code > 0 && code < 400) || SUCCESS.test(name))
    report.want(
      'error-looks-like-success',
      node,
      ['status_on_error', 'code'],
      'ServiceUnavailable',
    );
  if (node.isTrue('clear_route_cache'))
    report.want('route-cleared', node, ['clear_route_cache'], false);
  if (node.get('grpc_service') !== undefined && !node.isTrue('encode_raw_headers'))
    report.want('headers-joined', node, ['encode_raw_headers'], true);
  if (node.isTrue('with_request_body', 'allow_partial_message'))
    report.want('body-cut', node, ['with_request_body', 'allow_partial_message'], false);
  const share = node.get('filter_enabled');
  if (share !== undefined && shareOf(share) < 1 && !node.isTrue('deny_at_disable', 'default_value'))
    report.add('authz-for-some', share);
}

function shareOf(fraction: ConfigNode): number {
  const value = fraction.get('default_value');
  const denominator = value?.choice(DENOMINATORS, 'denominator') ?? 'HUNDRED';
  return (value?.number('numerator') ?? 0) / 10 ** (2 + 2 * DENOMINATORS.indexOf(denominator));
}

function checkHttpOrder(hcm: ConfigNode, report: LintReport): void {
  const filters = filtersOf(hcm, 'http_filters');
  const first = filters.findIndex(isAuthorization);
  for (const [index, { typeName, isDisabled, node }] of filters.entries()) {
    if (isDisabled || typeName === undefined || first === -1) continue;
    if (index > first && REWRITES.test(typeName)) report.add('changed-after-authz', node);
  }
  const isEnd = ({ typeName }: Filter): boolean =>
    typeName !== undefined &&
    (/\.filters\.http\.router\./u.test(typeName) || ANSWERS.test(typeName));
  const end = filters.findIndex((one) => !one.isDisabled && isEnd(one));
  for (const late of filters.slice(end === -1 ? filters.length : end).filter(isAuthorization))
    report.add('authz-too-late', late.node);
  checkAttributes(filters, report);
}

function checkOrder(
  filters: readonly Filter[],
  ends: readonly Filter['kind'][],
  report: LintReport,
): void {
  const end = filters.findIndex(({ kind }) => ends.includes(kind));
  for (const late of filters.slice(end === -1 ? filters.length : end).filter(isAuthorization))
    report.add('authz-too-late', late.node);
}

/** The path without its query, which rules read, is written by a filter before them. */
function checkAttributes(filters: readonly Filter[], report: LintReport): void {
  const isWriter = ({ kind, config }: Filter): boolean =>
    kind === 'set-filter-state' &&
    (config === undefined ||
      config.list('on_request_headers').some((one) => one.text('object_key') === 'tp.path'));
  const written = filters.findIndex((one) => isWriter(one) && !one.isDisabled);
  for (const [index, filter] of filters.entries())
    if (readsState(filter, 'tp.path') && (written === -1 || index < written))
      report.add('path-attribute-missing', filter.node);
}

/** Ways that go past a decision. */
function checkRoutes(envoy: EnvoyView, report: LintReport): void {
  for (const { node } of envoy.of('ext-authz-per-route'))
    if (node.isTrue('disabled')) report.add('authz-disabled', node.get('disabled') ?? node);
  for (const { node } of envoy.of('rbac-per-route')) {
    const rbac = node.get('rbac');
    if (rbac?.get('rules') === undefined && rbac?.get('matcher') === undefined)
      report.add('authz-disabled', node);
  }
  const names = new Set<string>();
  for (const { node } of envoy.of('hcm'))
    for (const filter of filtersOf(node, 'http_filters')) {
      if (!isAuthorization({ ...filter, isDisabled: false })) continue;
      names.add(filter.name);
      if (filter.isDisabled) report.want('authz-disabled', filter.node, ['disabled'], false);
    }
  for (const { node } of envoy.of('filter-config'))
    if (node.isTrue('disabled') && names.has(String(node.path.at(-1))))
      report.add('authz-disabled', node.get('disabled') ?? node);
}
