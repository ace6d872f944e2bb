import { readsPeerAddress, readsState } from './check-rbac.ts';
import type { ConfigNode } from './config-node.ts';
import { callerTls, type EnvoyView, type Filter, filtersOf } from './envoy-view.ts';
import type { Part } from './find-parts.ts';
import type { LintReport } from './lint-report.ts';

const RBAC = 'envoy.filters.http.rbac';
/** What others decide by: nobody but these filters writes there. */
const DECIDING: readonly (string | undefined)[] = [
  RBAC,
  'envoy.filters.http.ext_authz',
  'envoy.filters.http.jwt_authn',
];
const WRITERS = /\.filters\.http\.(?:header_to_metadata|set_metadata|json_to_metadata)\./u;
const POLICY = 'trustplane.policy';
const RULES =
  /^trustplane\.(?<kind>rbac|rbac-before-check|network-rbac)(?::(?<id>[^?]*))?(?:\?policy=(?<policy>.*))?$/su;

/** How Check is skipped, and whether the rules of an Envoy are those of its own service and routes. */
export function checkSkips(envoy: EnvoyView, report: LintReport): void {
  for (const { node } of envoy.of('ext-authz')) checkCondition(node, report);
  for (const part of envoy.of('hcm')) checkManager(part, envoy, report);
  for (const { node } of envoy.of('filter-chain')) checkService(node, report);
}

/** Asked unless rules in Envoy allowed for certain, also when they said nothing. */
function checkCondition(authz: ConfigNode, report: LintReport): void {
  const condition = authz.get('filter_enabled_metadata');
  if (condition === undefined) return;
  const [first, ...others] = condition.list('path');
  const isSound =
    condition.text('filter') === RBAC &&
    condition.isTrue('invert') &&
    first?.text('key') === 'tp_alone_shadow_engine_result' &&
    others.length === 0 &&
    condition.text('value', 'string_match', 'exact') === 'allowed';
  if (!isSound) report.add('authz-skipped-by-metadata', condition);
}

function checkManager({ node, scope }: Part, envoy: EnvoyView, report: LintReport): void {
  const filters = filtersOf(node, 'http_filters');
  for (const { typeName, config } of filters)
    if (config !== undefined && typeName !== undefined && WRITERS.test(typeName))
      for (const written of namespacesIn(config)) report.add('deciding-metadata-written', written);
  const chain = scope['filter-chain'];
  const isProxied = scope.listener?.list('listener_filters').some(isProxyProtocol) === true;
  for (const { config } of filters)
    if (isProxied && config !== undefined && readsPeerAddress(config))
      report.add('rbac-address-of-proxy', config);
  const isTold = chain !== undefined && tellsSource(chain, node);
  for (const filter of filters)
    if (readsState(filter, 'tp.source') && !isTold)
      report.add('source-attribute-missing', filter.node);
  for (const filter of filters) checkPolicy(filter, filters, node, envoy, report);
}

function isProxyProtocol(filter: ConfigNode): boolean {
  const type = filter.get('typed_config')?.typeName;
  return type?.endsWith('.proxy_protocol.v3.ProxyProtocol') === true;
}

/** What names a namespace of metadata that decides. */
function namespacesIn(config: ConfigNode): readonly ConfigNode[] {
  const inner = config.items.length > 1 ? config.items : config.members.map(({ value }) => value);
  const own = config.get('metadata_namespace');
  const found = own !== undefined && DECIDING.includes(own.text()) ? [own] : [];
  return [...found, ...inner.filter((one) => one !== own).flatMap(nested)];
}

function nested(node: ConfigNode): readonly ConfigNode[] {
  if (node.content.kind === 'list') return node.content.items.flatMap(namespacesIn);
  return node.isMap ? namespacesIn(node) : [];
}

/** A filter of connections before the manager writes where they come from. */
function tellsSource(chain: ConfigNode, hcm: ConfigNode): boolean {
  const filters = filtersOf(chain, 'filters');
  const end = filters.findIndex(({ config }) => config === hcm);
  return filters
    .slice(0, end === -1 ? filters.length : end)
    .some(
      ({ kind, config }) =>
        kind === 'set-filter-state' &&
        config?.list('on_new_connection').some((one) => one.text('object_key') === 'tp.source') ===
          true,
    );
}

/** Check skipped by what another policy allows is Check skipped. */
function checkPolicy(
  { name, isDisabled }: Filter,
  filters: readonly Filter[],
  hcm: ConfigNode,
  envoy: EnvoyView,
  report: LintReport,
): void {
  const { kind, policy } = RULES.exec(name)?.groups ?? {};
  const asks = filters.some((one) => one.kind === 'ext-authz' && !one.isDisabled);
  if (kind !== 'rbac-before-check' || isDisabled || !asks) return;
  const routes = envoy.routesOf(hcm);
  const places = envoy
    .of('ext-authz-per-route')
    .filter(({ scope }) => scope.hcm === hcm || scope['route-config'] === routes)
    .map(({ node }) => node.get('check_settings', 'context_extensions', POLICY));
  const others = places.filter((one) => one !== undefined && one.text() !== policy);
  for (const other of others) if (other !== undefined) report.add('rules-of-another-policy', other);
  const isNamed = places.some((one) => one?.text() === policy);
  const isSeen = routes !== undefined;
  if (policy !== undefined && isSeen && !isNamed && others.length === 0)
    for (const { node } of filters.filter((one) => one.name === name))
      report.add('rules-of-another-policy', node);
}

/** Rules are for the service that its certificate names. */
function checkService(chain: ConfigNode, report: LintReport): void {
  const own =
    callerTls(chain)
      ?.list('common_tls_context', 'tls_certificate_sds_secret_configs')
      .flatMap((one) => one.text('name') ?? []) ?? [];
  const [first] = own;
  if (first?.startsWith('spiffe://') !== true) return;
  for (const filter of filtersOf(chain, 'filters')) {
    const inner = filter.config === undefined ? [] : filtersOf(filter.config, 'http_filters');
    for (const { name, node } of [filter, ...inner]) {
      const { id } = RULES.exec(name)?.groups ?? {};
      if (id !== undefined && !own.includes(id)) report.add('rules-of-another-service', node);
    }
  }
}
