import type { ConfigNode } from './config-node.ts';
import { kindOfType, messageOf, type Part, type PartKind, type Scope } from './find-parts.ts';
import { letsAllIn } from './rbac-effect.ts';

/** One Envoy: what its files hold together, and the questions that several checks ask of it. */
export class EnvoyView {
  readonly #byKind = new Map<PartKind, Part[]>();
  readonly #clusters = new Map<string, ConfigNode>();
  #routed: ReadonlySet<string> | undefined;

  constructor(parts: readonly Part[]) {
    for (const part of parts) {
      const known = this.#byKind.get(part.kind);
      if (known === undefined) this.#byKind.set(part.kind, [part]);
      else known.push(part);
      const name = part.kind === 'cluster' ? part.node.text('name') : undefined;
      if (name !== undefined) this.#clusters.set(name, part.node);
    }
  }

  of(...kinds: readonly PartKind[]): readonly Part[] {
    return kinds.flatMap((kind) => this.#byKind.get(kind) ?? []);
  }

  cluster(name: string | undefined): ConfigNode | undefined {
    return name === undefined ? undefined : this.#clusters.get(name);
  }

  /** The routes of a connection manager: its own, or those of a file with the name it asks for. */
  routesOf(hcm: ConfigNode): ConfigNode | undefined {
    const name = hcm.text('rds', 'route_config_name');
    const named = this.of('route-config').find(({ node }) => node.text('name') === name);
    return hcm.get('route_config') ?? (name === undefined ? undefined : named?.node);
  }

  /** Whether some listener sends requests or connections to a cluster. */
  isRouted(cluster: string | undefined): boolean {
    this.#routed ??= new Set(
      this.of('filter-chain').flatMap(({ node }) => [...this.clustersOf(node)]),
    );
    return cluster !== undefined && this.#routed.has(cluster);
  }

  /** The clusters that requests and connections of a filter chain go to. */
  clustersOf(chain: ConfigNode): ReadonlySet<string> {
    const names = new Set<string>();
    const take = (target: ConfigNode): void => {
      const all = [target, ...target.list('weighted_clusters', 'clusters')];
      for (const one of all) {
        const name = one.text('cluster') ?? (one === target ? undefined : one.text('name'));
        if (name !== undefined) names.add(name);
      }
    };
    for (const filter of chain.list('filters')) {
      const config = filter.get('typed_config');
      if (config === undefined) continue;
      take(config);
      const hosts = this.routesOf(config)?.list('virtual_hosts') ?? [];
      for (const route of hosts.flatMap((host) => host.list('routes'))) {
        const action = route.get('route');
        if (action !== undefined) take(action);
      }
    }
    return names;
  }
}

/** A filter in a list, and what it is; config is undefined where it comes over the wire. */
export interface Filter {
  readonly node: ConfigNode;
  readonly name: string;
  readonly kind: PartKind | undefined;
  readonly typeName: string | undefined;
  readonly config: ConfigNode | undefined;
  readonly isDisabled: boolean;
}

export function filtersOf(owner: ConfigNode, field: 'filters' | 'http_filters'): readonly Filter[] {
  return owner.list(field).map((node) => {
    const config = node.get('typed_config');
    const [discovered] = node.list('config_discovery', 'type_urls');
    const [type, message] = config === undefined ? [discovered?.text()] : unwrap(config);
    return {
      node,
      name: node.text('name') ?? '',
      kind: type === undefined ? undefined : kindOfType(type),
      typeName: type,
      config: message,
      isDisabled: node.isTrue('disabled'),
    };
  });
}

/** What is in a TypedStruct, and the filter that a matcher chooses when to use. */
function unwrap(config: ConfigNode): readonly [type: string | undefined, message: ConfigNode] {
  const [type, message] = messageOf(config);
  const inner = message.get('extension_config', 'typed_config');
  return inner !== undefined && type?.endsWith('.ExtensionWithMatcher') === true
    ? messageOf(inner)
    : [type, message];
}

/** Whether the filter lets in and refuses, by rules or by asking. */
export function isAuthorization({ kind, isDisabled, config }: Filter): boolean {
  if (isDisabled) return false;
  if (kind === 'ext-authz' || kind === 'network-ext-authz') return true;
  return kind === 'rbac' && (config === undefined || !letsAllIn(config));
}

/** Whether requests are asked about by ext_authz after the filter that something is in. */
export function isAskedAfter({ hcm, 'http-filter': filter }: Scope): boolean {
  const filters = hcm === undefined ? [] : filtersOf(hcm, 'http_filters');
  const place = filters.findIndex(({ node }) => node === filter);
  return filters
    .slice(place + 1)
    .some(({ kind, isDisabled }) => kind === 'ext-authz' && !isDisabled);
}

/** Whether a filter chain has a filter that decides, for connections or for requests. */
export function isAuthorized(chain: ConfigNode): boolean {
  return filtersOf(chain, 'filters').some(
    (filter) =>
      isAuthorization(filter) ||
      (filter.kind === 'hcm' &&
        filter.config !== undefined &&
        filtersOf(filter.config, 'http_filters').some(isAuthorization)),
  );
}

/** The TLS that callers speak to a filter chain. */
export function callerTls(chain: ConfigNode): ConfigNode | undefined {
  const config = chain.get('transport_socket', 'typed_config');
  if (config === undefined) return undefined;
  if (config.typeName?.endsWith('.DownstreamTlsContext') === true) return config;
  return config.get('downstream_tls_context') ?? config.get('tls_socket_config');
}

/** What a TLS context trusts: what is written there, and what comes over SDS. */
export interface Validation {
  readonly written: ConfigNode | undefined;
  readonly secret: ConfigNode | undefined;
}

/** Undefined where it trusts nothing in particular. */
export function validationOf(tls: ConfigNode): Validation | undefined {
  const common = tls.get('common_tls_context');
  const combined = common?.get('combined_validation_context');
  const written = common?.get('validation_context') ?? combined?.get('default_validation_context');
  const secret =
    common?.get('validation_context_sds_secret_config') ??
    combined?.get('validation_context_sds_secret_config');
  return written === undefined && secret === undefined ? undefined : { written, secret };
}

/** Whether callers of the chain show certificates that are verified. */
export function verifiesCallers(chain: ConfigNode | undefined): boolean {
  const tls = chain === undefined ? undefined : callerTls(chain);
  return tls !== undefined && validationOf(tls) !== undefined;
}

/** Whether an address is of this host alone: loopback, a Unix socket, Envoy itself. */
export function isLocal(address: ConfigNode | undefined): boolean {
  const ip = address?.text('socket_address', 'address');
  return ip === undefined || isLoopback(ip);
}

export function isLoopback(host: string): boolean {
  return /^(?:127(?:\.\d{1,3}){3}|::1|0:0:0:0:0:0:0:1|localhost)$/u.test(host);
}

/** The addresses of a cluster's endpoints. */
export function endpointAddresses(cluster: ConfigNode): readonly ConfigNode[] {
  return cluster
    .list('load_assignment', 'endpoints')
    .flatMap((group) => group.list('lb_endpoints'))
    .flatMap((one) => one.list('endpoint', 'address'));
}

/** What a cluster says of HTTP. */
export function httpOptions(cluster: ConfigNode): ConfigNode | undefined {
  return cluster.get(
    'typed_extension_protocol_options',
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  );
}
