import { setField } from './config-edit.ts';
import type { ConfigNode } from './config-node.ts';
import {
  type EnvoyView,
  httpOptions,
  isAuthorized,
  type Validation,
  validationOf,
} from './envoy-view.ts';
import type { Part } from './find-parts.ts';
import type { LintReport } from './lint-report.ts';
import { isOpenId } from './open-pattern.ts';

const VERSIONS: readonly string[] = ['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'];
const LOW: readonly (string | undefined)[] = ['TLSV1_0', 'TLSV1_1'];
const TRUST: readonly string[] = ['VERIFY_TRUST_CHAIN', 'ACCEPT_UNTRUSTED'];

/** Who is let in by TLS, and who is taken for a server. */
export function checkTls(envoy: EnvoyView, report: LintReport): void {
  for (const part of envoy.of('downstream-tls')) checkCallers(part, report);
  for (const part of envoy.of('upstream-tls')) checkServers(part, envoy, report);
  for (const { node } of envoy.of('downstream-tls', 'upstream-tls')) {
    checkVersions(node, report);
    for (const certificate of node.list('common_tls_context', 'tls_certificates')) {
      const key = certificate.get('private_key');
      const inline = key?.get('inline_string') ?? key?.get('inline_bytes');
      if (inline !== undefined) report.add('private-key-inline', inline);
    }
  }
}

function checkCallers({ node, scope }: Part, report: LintReport): void {
  const validation = validationOf(node);
  const isMesh =
    node.list('common_tls_context', 'tls_certificate_sds_secret_configs').length > 0 ||
    node.isTrue('require_client_certificate');
  if (validation === undefined) {
    if (isMesh) report.add('client-certificate-not-verified', node);
    return;
  }
  if (!node.isTrue('require_client_certificate'))
    report.want('client-certificate-not-required', node, ['require_client_certificate'], true);
  checkSessions(node, report);
  checkWritten(validation.written, report);
  const chain = scope['filter-chain'];
  if (namesSomebody(validation) || chain === undefined || isAuthorized(chain)) return;
  report.add(isOfSpiffe(validation) ? 'any-workload-admitted' : 'identity-not-verified', node);
}

function checkSessions(node: ConfigNode, report: LintReport): void {
  const keys = node.get('session_ticket_keys') ?? node.get('session_ticket_keys_sds_secret_config');
  if (keys !== undefined) report.add('session-tickets', keys);
  else if (!node.isTrue('disable_stateless_session_resumption'))
    report.want('session-tickets', node, ['disable_stateless_session_resumption'], true);
  if (!node.isTrue('disable_stateful_session_resumption'))
    report.want('session-cache', node, ['disable_stateful_session_resumption'], true);
}

function checkServers({ node, scope }: Part, envoy: EnvoyView, report: LintReport): void {
  const validation = validationOf(node);
  if (validation === undefined) return report.add('upstream-not-verified', node);
  checkWritten(validation.written, report);
  const { cluster } = scope;
  const isNamed =
    namesSomebody(validation) || node.isTrue('auto_sni_san_validation') || matchesSni(cluster);
  if (!isOfSpiffe(validation)) {
    if (!isNamed) report.add('upstream-name-not-verified', node);
    return;
  }
  if (!isNamed) report.add('upstream-any-workload', node);
  if (node.number('max_session_keys') !== 0)
    report.want('upstream-session-cache', node, ['max_session_keys'], 0);
  const options = cluster === undefined ? undefined : httpOptions(cluster);
  const age = options?.seconds('common_http_protocol_options', 'max_connection_duration');
  // Without options it may be TCP.
  if (options !== undefined && envoy.isRouted(cluster?.text('name')) && (age ?? 0) <= 0)
    report.add('upstream-connection-age-unbounded', options);
}

function matchesSni(cluster: ConfigNode | undefined): boolean {
  const options = cluster === undefined ? undefined : httpOptions(cluster);
  return options?.isTrue('upstream_http_protocol_options', 'auto_san_validation') === true;
}

/** Whether SPIFFE IDs are verified by it: over SDS, or by Envoy's SPIFFE validator. */
function isOfSpiffe({ written, secret }: Validation): boolean {
  return secret !== undefined || written?.get('custom_validator_config') !== undefined;
}

function namesSomebody({ written }: Validation): boolean {
  return [
    'match_typed_subject_alt_names',
    'match_subject_alt_names',
    'verify_certificate_spki',
    'verify_certificate_hash',
  ].some((field) => (written?.list(field).length ?? 0) > 0);
}

function checkWritten(context: ConfigNode | undefined, report: LintReport): void {
  if (context === undefined) return;
  if (context.choice(TRUST, 'trust_chain_verification') === 'ACCEPT_UNTRUSTED')
    report.want(
      'untrusted-certificate-accepted',
      context,
      ['trust_chain_verification'],
      'VERIFY_TRUST_CHAIN',
    );
  if (context.isTrue('allow_expired_certificate'))
    report.want('expired-certificate-accepted', context, ['allow_expired_certificate'], false);
  const joined = context.get('match_subject_alt_names');
  if (joined !== undefined && joined.items.length > 0) report.add('san-list-joined', joined);
  const matchers = [
    ...context.list('match_typed_subject_alt_names').flatMap((one) => one.list('matcher')),
    ...(joined?.items ?? []),
  ];
  for (const matcher of matchers) if (isOpenId(matcher)) report.add('san-match-open', matcher);
}

function checkVersions(node: ConfigNode, report: LintReport): void {
  const common = node.get('common_tls_context');
  const params = common?.get('tls_params');
  if (params === undefined) return;
  for (const field of ['tls_minimum_protocol_version', 'tls_maximum_protocol_version'])
    if (LOW.includes(params.choice(VERSIONS, field)))
      report.add(
        'tls-version-low',
        params.get(field) ?? params,
        setField(params, [field], 'TLSv1_2'),
      );
}
