import { matchesHosts, readsForwardedAddress } from './check-rbac.ts';
import { replaceScalar } from './config-edit.ts';
import type { ConfigNode } from './config-node.ts';
import {
  type EnvoyView,
  type Filter,
  filtersOf,
  isAuthorization,
  isLocal,
  verifiesCallers,
} from './envoy-view.ts';
import type { Part } from './find-parts.ts';
import type { LintReport } from './lint-report.ts';

const SLASHES: readonly string[] = [
  'IMPLEMENTATION_SPECIFIC_DEFAULT',
  'KEEP_UNCHANGED',
  'REJECT_REQUEST',
  'UNESCAPE_AND_REDIRECT',
  'UNESCAPE_AND_FORWARD',
];
const FORWARD: readonly string[] = [
  'SANITIZE',
  'FORWARD_ONLY',
  'APPEND_FORWARD',
  'SANITIZE_SET',
  'ALWAYS_FORWARD_ONLY',
];
const UNDERSCORES: readonly string[] = ['ALLOW', 'REJECT_REQUEST', 'DROP_HEADER'];

/** What connection managers make of a request before anything decides. */
export function checkHttp(envoy: EnvoyView, report: LintReport): void {
  for (const part of envoy.of('hcm')) checkManager(part, envoy, report);
  for (const { node } of envoy.of('set-filter-state')) checkState(node, report);
}

function checkManager({ node, scope }: Part, envoy: EnvoyView, report: LintReport): void {
  const filters = filtersOf(node, 'http_filters');
  const isMtls = verifiesCallers(scope['filter-chain']);
  const decides = filters.some((one) => isAuthorization(one) || one.kind === 'jwt');
  if (decides) checkPaths(node, report);
  if (decides || isMtls) {
    const names = ['common_http_protocol_options', 'headers_with_underscores_action'];
    if ((node.choice(UNDERSCORES, ...names) ?? 'ALLOW') === 'ALLOW')
      report.want('underscores-allowed', node, names, 'REJECT_REQUEST');
  }
  const age = ['common_http_protocol_options', 'max_connection_duration'];
  if (isMtls && (node.seconds(...age) ?? 0) <= 0)
    report.want('connection-age-unbounded', node, age, '3600s');
  if (decides) checkHosts(node, filters, envoy, report);
  checkForwardedCertificate(node, scope['filter-chain'], isMtls, report);
  checkClientAddress(node, filters, isLocal(scope.listener?.get('address')), report);
}

function checkPaths(node: ConfigNode, report: LintReport): void {
  if (!node.isTrue('normalize_path'))
    report.want('path-not-normalized', node, ['normalize_path'], true);
  if (!node.isTrue('merge_slashes'))
    report.want('slashes-not-merged', node, ['merge_slashes'], true);
  const action = node.choice(SLASHES, 'path_with_escaped_slashes_action');
  if (action === undefined || action === SLASHES[0] || action === SLASHES[1])
    report.want(
      'escaped-slashes-kept',
      node,
      ['path_with_escaped_slashes_action'],
      'REJECT_REQUEST',
    );
}

/** Where rules, or virtual hosts, name hosts. */
function checkHosts(
  node: ConfigNode,
  filters: readonly Filter[],
  envoy: EnvoyView,
  report: LintReport,
): void {
  const domains =
    envoy
      .routesOf(node)
      ?.list('virtual_hosts')
      .flatMap((host) => host.list('domains')) ?? [];
  const isNamed =
    domains.some((domain) => domain.text() !== '*') ||
    filters.some(
      ({ kind, config }) => kind === 'rbac' && (config === undefined || matchesHosts(config)),
    );
  if (!isNamed) return;
  if (!node.isTrue('strip_any_host_port') && !node.isTrue('strip_matching_host_port'))
    report.want('host-port-kept', node, ['strip_any_host_port'], true);
  if (!node.isTrue('strip_trailing_host_dot'))
    report.want('host-dot-kept', node, ['strip_trailing_host_dot'], true);
}

function checkForwardedCertificate(
  node: ConfigNode,
  chain: ConfigNode | undefined,
  isMtls: boolean,
  report: LintReport,
): void {
  const names = ['forward_client_cert_details'];
  const details = node.choice(FORWARD, ...names) ?? 'SANITIZE';
  const tells = node.get('set_current_client_cert_details');
  const hasUri = tells?.isTrue('uri') === true || tells?.isTrue('cert') === true;
  if (details === 'ALWAYS_FORWARD_ONLY')
    report.want('forwarded-certificate-always', node, names, 'SANITIZE');
  else if (details === 'FORWARD_ONLY' || details === 'APPEND_FORWARD')
    report.want(
      'forwarded-certificate-believed',
      node,
      names,
      hasUri ? 'SANITIZE_SET' : 'SANITIZE',
    );
  else if (details === 'SANITIZE_SET' && chain !== undefined && !(isMtls && hasUri))
    report.add('forwarded-certificate-empty', node.get(...names) ?? node);
}

function checkClientAddress(
  node: ConfigNode,
  filters: readonly Filter[],
  isLocalListener: boolean,
  report: LintReport,
): void {
  const hops = node.number('xff_num_trusted_hops') ?? 0;
  const isUsed = node.isTrue('use_remote_address');
  const reads = filters.some(({ config }) => config !== undefined && readsForwardedAddress(config));
  if (reads && !isUsed) report.want('client-address-forgeable', node, ['use_remote_address'], true);
  if (isUsed && hops > 0 && !isLocalListener)
    report.add('forwarded-hops-trusted', node.get('xff_num_trusted_hops') ?? node);
}

/** Those of %PATH()% that ask the header x-envoy-original-path first: all but PATH. */
const ORIGINAL =
  /%PATH(?:\((?:(?:WQ|NQ)?(?::(?:ORIG|ORIG_OR_PATH))?)\))?(?::\d+)?%|%REQ\(X-ENVOY-ORIGINAL-PATH[^%]*%/giu;
const WITH_QUERY = /%PATH\(WQ:PATH\)%|%REQ\(:PATH\)(?::\d+)?%/giu;
const SAFE = '%PATH(NQ:PATH)%';

function checkState(node: ConfigNode, report: LintReport): void {
  for (const { value } of node.members)
    for (const entry of value.items) {
      const format = entry.get('format_string');
      const text = format?.get('text_format_source', 'inline_string') ?? format?.get('text_format');
      const written = text?.text();
      if (text === undefined || written === undefined) continue;
      if (written.search(ORIGINAL) !== -1)
        report.add(
          'original-path-believed',
          text,
          replaceScalar(text, written.replace(ORIGINAL, SAFE)),
        );
      else if (entry.text('object_key') === 'tp.path' && written.search(WITH_QUERY) !== -1)
        report.add(
          'rbac-path-with-query',
          text,
          replaceScalar(text, written.replace(WITH_QUERY, SAFE)),
        );
    }
}
