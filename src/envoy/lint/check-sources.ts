import { type ConfigNode, fieldName } from './config-node.ts';
import {
  type EnvoyView,
  endpointAddresses,
  httpOptions,
  isAskedAfter,
  isLoopback,
} from './envoy-view.ts';
import { kindOfType, type Part } from './find-parts.ts';
import type { LintReport } from './lint-report.ts';
import { allowsOtherwise, letsAllIn, RBAC_ACTIONS } from './rbac-effect.ts';

const API_VERSIONS: readonly string[] = ['AUTO', 'V2', 'V3'];
const MAX_BACK_OFF_SECONDS = 5;
const BACK_OFF = { base_interval: '0.1s', max_interval: '1s' };

/** Where secrets, filters and decisions come from: the agent, and how Envoy speaks to it. */
export function checkSources(envoy: EnvoyView, report: LintReport): void {
  const secrets = envoy.of('sds-config').map(({ node }) => node);
  const extensions = envoy.of('extension-discovery').map(({ node }) => node);
  const ads = envoy.of('ads-config').map(({ node }) => node);
  const sources = extensions.flatMap((one) => one.list('config_source'));
  for (const node of [...secrets, ...envoy.of('config-source').map((one) => one.node)])
    checkVersion(node, report);
  for (const node of ads) checkTransportVersion(node, report);
  for (const node of secrets) checkFetchTimeout(node, report);
  for (const part of envoy.of('sds-config')) checkAds(part, report);
  checkSame(secrets, report);
  const fromAgent = [...secrets, ...sources];
  const usesAds = fromAgent.some((one) => one.get('ads') !== undefined);
  const streams = [
    ...fromAgent.flatMap((one) => one.list('api_config_source')),
    ...(usesAds ? ads : []),
  ];
  for (const stream of streams) checkBackOff(stream, report);
  checkAgents(envoy, streams, report);
  for (const part of envoy.of('extension-discovery')) checkDefault(part, report);
}

function checkVersion(source: ConfigNode, report: LintReport): void {
  if (source.choice(API_VERSIONS, 'resource_api_version') !== 'V3')
    report.want('api-version-missing', source, ['resource_api_version'], 'V3');
  for (const stream of source.list('api_config_source')) checkTransportVersion(stream, report);
}

function checkTransportVersion(stream: ConfigNode, report: LintReport): void {
  if (stream.isMap && stream.choice(API_VERSIONS, 'transport_api_version') !== 'V3')
    report.want('api-version-missing', stream, ['transport_api_version'], 'V3');
}

function checkFetchTimeout(source: ConfigNode, report: LintReport): void {
  const isWire = source.get('api_config_source') ?? source.get('ads');
  if (isWire !== undefined && source.seconds('initial_fetch_timeout') !== 0)
    report.want('sds-fetch-timeout', source, ['initial_fetch_timeout'], '0s');
}

/** Clusters of the bootstrap, of any type, begin before there is an ADS stream; those that come over CDS do not. */
function checkAds({ node, scope: { cluster } }: Part, report: LintReport): void {
  const isOfBootstrap = fieldName(String(cluster?.path[0] ?? '')) === 'static_resources';
  if (isOfBootstrap && node.get('ads') !== undefined) report.add('cluster-secret-over-ads', node);
}

/** Of each agent all sources of secrets must be alike. */
function checkSame(sources: readonly ConfigNode[], report: LintReport): void {
  const first = new Map<string, string>();
  for (const source of sources) {
    const [name] = clusterNames(source.list('api_config_source'));
    if (name === undefined) continue;
    const text = canonicalText(source);
    const known = first.get(name);
    if (known === undefined) first.set(name, text);
    else if (known !== text) report.add('sds-configs-differ', source);
  }
}

function canonicalText(node: ConfigNode): string {
  const { content } = node;
  if (content.kind === 'scalar') return JSON.stringify(content.value);
  if (content.kind === 'list') return `[${content.items.map(canonicalText).join(',')}]`;
  const members = content.members.map(
    ({ key, value }) => `${JSON.stringify(fieldName(key))}:${canonicalText(value)}`,
  );
  return `{${members.toSorted().join(',')}}`;
}

function checkBackOff(stream: ConfigNode, report: LintReport): void {
  for (const service of stream.list('grpc_services').flatMap((one) => one.list('envoy_grpc'))) {
    const longest = service.seconds('retry_policy', 'retry_back_off', 'max_interval');
    if (longest !== undefined && longest <= MAX_BACK_OFF_SECONDS) continue;
    const names = ['retry_policy', 'retry_back_off'];
    if (service.get(...names) === undefined) report.want('slow-back-off', service, names, BACK_OFF);
    else report.want('slow-back-off', service, [...names, 'max_interval'], '1s');
  }
}

function checkAgents(envoy: EnvoyView, streams: readonly ConfigNode[], report: LintReport): void {
  const authz = envoy.of('ext-authz', 'network-ext-authz').map(({ node }) => node);
  const ofKeys = clusterNames(streams);
  const all = new Set([...ofKeys, ...clusterNames(authz)]);
  for (const { node } of envoy.of('cluster')) {
    const name = node.text('name') ?? '';
    if (!all.has(name)) continue;
    checkCleartext(node, ofKeys.includes(name), report);
    checkKeepalive(node, report);
  }
  const keys = new Set(streams.flatMap(grpcServices));
  for (const service of [...keys, ...authz.flatMap(grpcServices)]) {
    const target = service.text('google_grpc', 'target_uri');
    if (target === undefined || target.startsWith('unix:')) continue;
    if (!keys.has(service) && isLoopbackTarget(target)) continue;
    if (service.get('google_grpc', 'channel_credentials') === undefined)
      report.add('agent-in-clear', service.get('google_grpc') ?? service);
  }
}

/** As gRPC writes it: dns:///localhost:9191, ipv4:127.0.0.1:9191. */
function isLoopbackTarget(target: string): boolean {
  const [, host = ''] = /^(?:dns:\/*|ipv[46]:)?\[?([^\]]*?)\]?(?::\d+)?$/u.exec(target) ?? [];
  return isLoopback(host);
}

function checkCleartext(cluster: ConfigNode, hasKeys: boolean, report: LintReport): void {
  if (cluster.get('transport_socket') !== undefined) return;
  const exposed = endpointAddresses(cluster).find((address) => {
    const host = address.text('socket_address', 'address');
    return host !== undefined && (hasKeys || !isLoopback(host));
  });
  if (exposed !== undefined) report.add('agent-in-clear', exposed);
}

function checkKeepalive(cluster: ConfigNode, report: LintReport): void {
  const http2 =
    httpOptions(cluster)?.get('explicit_http_config', 'http2_protocol_options') ??
    cluster.get('http2_protocol_options');
  if (http2?.get('connection_keepalive') !== undefined) return;
  const value = { interval: '30s', timeout: '10s' };
  if (http2 === undefined) report.add('agent-hang-unnoticed', cluster);
  else report.want('agent-hang-unnoticed', http2, ['connection_keepalive'], value);
}

function grpcServices(owner: ConfigNode): readonly ConfigNode[] {
  return [...owner.list('grpc_services'), ...owner.list('grpc_service')];
}

function clusterNames(owners: readonly ConfigNode[]): readonly string[] {
  return owners
    .flatMap(grpcServices)
    .flatMap((service) => service.text('envoy_grpc', 'cluster_name') ?? []);
}

/** A filter that decides, and comes over the wire: what decides until it is there. */
function checkDefault({ node: discovery, scope }: Part, report: LintReport): void {
  const kinds = discovery.list('type_urls').map((url) => kindOfType(url.text() ?? ''));
  if (!kinds.some((kind) => kind === 'rbac' || kind === 'ext-authz')) return;
  const fallback = discovery.get('default_config');
  if (fallback === undefined) return report.add('extension-without-default', discovery);
  const kind = kindOfType(fallback.typeName ?? '');
  if (kind === 'ext-authz') return;
  // What goes on is asked about.
  if (isAskedAfter(scope)) return;
  if (kind !== 'rbac' || letsSomethingIn(fallback))
    report.add('extension-default-allows', fallback);
}

function letsSomethingIn(rbac: ConfigNode): boolean {
  if (letsAllIn(rbac) || rbac.get('matcher', 'on_no_match') === undefined)
    return letsAllIn(rbac) || rbac.choice(RBAC_ACTIONS, 'rules', 'action') === 'DENY';
  return allowsOtherwise(rbac.get('matcher'));
}
