import { type ConfigNode, fieldName } from './config-node.ts';

/** What is looked into, by what it is in Envoy. */
export type PartKind =
  | 'admin'
  | 'ads-config'
  | 'cluster'
  | 'config-source'
  | 'downstream-tls'
  | 'ext-authz'
  | 'ext-authz-per-route'
  | 'extension-discovery'
  | 'filter-chain'
  | 'filter-config'
  | 'hcm'
  | 'http-filter'
  | 'jwt'
  | 'listener'
  | 'network-ext-authz'
  | 'rbac'
  | 'rbac-per-route'
  | 'route-config'
  | 'sds-config'
  | 'set-filter-state'
  | 'tcp-proxy'
  | 'upstream-tls';

/** The parts around one; of each kind the nearest. */
export type Scope = { readonly [kind in PartKind]?: ConfigNode };

export interface Part {
  readonly kind: PartKind;
  readonly node: ConfigNode;
  readonly scope: Scope;
}

export interface FoundParts {
  readonly parts: readonly Part[];
  /** Messages that nothing is known about, by the name of their type; the first of each. */
  readonly unknown: ReadonlyMap<string, ConfigNode>;
}

const HTTP = 'envoy.extensions.filters.http';
const NETWORK = 'envoy.extensions.filters.network';
const TLS = 'envoy.extensions.transport_sockets.tls.v3';

const kindsByType: ReadonlyMap<string, PartKind> = new Map([
  [`${NETWORK}.http_connection_manager.v3.HttpConnectionManager`, 'hcm'],
  [`${NETWORK}.tcp_proxy.v3.TcpProxy`, 'tcp-proxy'],
  [`${NETWORK}.rbac.v3.RBAC`, 'rbac'],
  [`${NETWORK}.ext_authz.v3.ExtAuthz`, 'network-ext-authz'],
  [`${NETWORK}.set_filter_state.v3.Config`, 'set-filter-state'],
  [`${HTTP}.rbac.v3.RBAC`, 'rbac'],
  [`${HTTP}.rbac.v3.RBACPerRoute`, 'rbac-per-route'],
  [`${HTTP}.ext_authz.v3.ExtAuthz`, 'ext-authz'],
  [`${HTTP}.ext_authz.v3.ExtAuthzPerRoute`, 'ext-authz-per-route'],
  [`${HTTP}.jwt_authn.v3.JwtAuthentication`, 'jwt'],
  [`${HTTP}.set_filter_state.v3.Config`, 'set-filter-state'],
  [`${TLS}.DownstreamTlsContext`, 'downstream-tls'],
  [`${TLS}.UpstreamTlsContext`, 'upstream-tls'],
  ['envoy.config.listener.v3.Listener', 'listener'],
  ['envoy.config.cluster.v3.Cluster', 'cluster'],
  ['envoy.config.route.v3.RouteConfiguration', 'route-config'],
  ['envoy.config.route.v3.FilterConfig', 'filter-config'],
]);

/** What a map is by the field that holds it. */
const kindsByField: ReadonlyMap<string, PartKind> = new Map([
  ['admin', 'admin'],
  ['ads_config', 'ads-config'],
  ['cds_config', 'config-source'],
  ['cluster', 'cluster'],
  ['clusters', 'cluster'],
  ['config_discovery', 'extension-discovery'],
  ['config_source', 'config-source'],
  ['default_filter_chain', 'filter-chain'],
  ['downstream_tls_context', 'downstream-tls'],
  ['eds_config', 'config-source'],
  ['filter_chains', 'filter-chain'],
  ['http_filters', 'http-filter'],
  ['lds_config', 'config-source'],
  ['listener', 'listener'],
  ['listeners', 'listener'],
  ['rbac', 'rbac'],
  ['route_config', 'route-config'],
  ['sds_config', 'sds-config'],
  ['upstream_tls_context', 'upstream-tls'],
]);

/** Whose fields say nothing that is looked for, or are walked through for what is in them. */
const plainTypes =
  /^(?:envoy\.(?:admin|config|service|type)\.|google\.protobuf\.|xds\.|envoy\.extensions\.(?:access_loggers|clusters|compression|formatter|http|load_balancing_policies|matching|network|path|rbac|request_id|retry|stat_sinks|string_matcher|tracers|upstreams|filters\.(?:listener\.|udp\.|http\.(?:router|cors|fault|buffer|compressor|decompressor|grpc_stats|grpc_web|health_check|local_ratelimit|ratelimit|cache|lua|wasm|ext_proc|header_mutation|golang|aws_lambda|file_system_buffer)\.)|transport_sockets\.))/u;

/** Everything that is looked into, wherever it stands: also in answers of xDS and dumps of Envoy's configuration. */
export function findParts(root: ConfigNode): FoundParts {
  const parts: Part[] = [];
  const unknown = new Map<string, ConfigNode>();
  const walk = (node: ConfigNode, scope: Scope, field: string): void => {
    if (node.content.kind === 'list') {
      for (const item of node.content.items) walk(item, scope, field);
      return;
    }
    if (!node.isMap) return;
    const [type, message] = messageOf(node);
    const kind = kindOf(message, type, field);
    if (kind !== undefined) parts.push({ kind, node: message, scope });
    else if (type !== undefined && !plainTypes.test(type) && !unknown.has(type))
      unknown.set(type, node);
    const inner = kind === undefined ? scope : { ...scope, [kind]: message };
    for (const { key, value } of message.members) walk(value, inner, fieldName(key));
  };
  walk(root, {}, '');
  return { parts, unknown };
}

/** What kind of filter a type URL names, for filters whose configuration comes over the wire. */
export function kindOfType(typeUrl: string): PartKind | undefined {
  return kindsByType.get(typeUrl.slice(typeUrl.lastIndexOf('/') + 1));
}

/** What a configuration says it is, looked through TypedStruct. */
export function messageOf(
  node: ConfigNode,
): readonly [type: string | undefined, message: ConfigNode] {
  const type = node.typeName;
  const inner = node.get('value');
  if (type?.endsWith('.TypedStruct') !== true || inner?.isMap !== true) return [type, node];
  const url = node.text('type_url') ?? '';
  return [url.slice(url.lastIndexOf('/') + 1), inner];
}

function kindOf(node: ConfigNode, type: string | undefined, field: string): PartKind | undefined {
  if (type !== undefined) return kindsByType.get(type);
  const kind = kindsByField.get(field);
  // A dump of clusters or routes has maps of other messages under these names.
  if (kind === 'cluster' && node.get('name') === undefined) return undefined;
  return kind;
}
