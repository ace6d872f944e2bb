import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type CompiledRbac,
  encodeRbacExtension,
  rbacMessage,
  sourceOfConnection,
} from '../../src/authz/rbac/index.ts';
import { adminSocketOf, launchEnvoy } from '../programs/launch-envoy.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import type { CertificateShapes } from './certificate-shapes.ts';
import { EcdsServer } from './ecds-server.ts';
import { startJudgedAuthz } from './judged-authz.ts';
import {
  authzFilter,
  cluster,
  http2Options,
  judgedClusters,
  jwtFilter,
  makeTls,
  pemOf,
  routerFilter,
  serveEcho,
  type Tls,
  TYPES,
  transportSocket,
} from './judged-parts.ts';
import type { PolicyDocument } from './policy-document.ts';

/** Who decides at an address: Check, RBAC alone, RBAC and then Check, and RBAC of connections. */
export const judges = {
  check: '127.0.0.1',
  alone: '127.0.0.2',
  both: '127.0.0.3',
  network: '127.0.0.4',
} as const;
export type Judge = keyof typeof judges;

/** What one Envoy decides in each of these ways by the same policies; those of a lane change, one after the other. */
export interface Lane {
  readonly number: number;
  /** At each of the addresses all of them. */
  readonly ports: readonly number[];
}

/** What an Envoy wrote of one request, after the fact. */
export interface LoggedRequest {
  readonly ask: string;
  readonly rbac: Readonly<Record<string, unknown>> | undefined;
  readonly details: string;
}

export interface RbacEnvoy extends AsyncDisposable {
  readonly ecds: EcdsServer;
  identityOf(as: string): { readonly cert: string; readonly key: string } | undefined;
  /** Ends it, and reads its access log. */
  finish(): Promise<readonly LoggedRequest[]>;
}

export interface RbacEnvoyOptions {
  readonly lanes: readonly Lane[];
  readonly service: string;
  /** Context extensions that requests choose by `x-case`. */
  readonly cases: readonly string[];
  readonly documents: readonly PolicyDocument[];
  readonly shapes: CertificateShapes;
  /** Of its connection managers beside what they are judged by. Default: nothing is normalized. */
  readonly manager?: object;
  /** Of its listeners. */
  readonly listenerFilters?: readonly object[];
  /** Of HTTP, before all others. */
  readonly filters?: readonly object[];
  /** In front of those of the cases. */
  readonly routes?: readonly object[];
}

/** The name of what a lane has one of its judges decide by. */
function extensionName(lane: number, judge: Judge): string {
  return `rbac-${lane}-${judge}`;
}

const rbacTypes = {
  http: `${TYPES}.filters.http.rbac.v3.RBAC`,
  network: `${TYPES}.filters.network.rbac.v3.RBAC`,
} as const;

/** What is compiled for requests and for connections. */
export interface RbacTrees {
  readonly http: CompiledRbac;
  readonly network: CompiledRbac;
}

/** Has a lane decide by other rules: they are in force when it resolves. */
export async function pushRules(
  { ecds }: RbacEnvoy,
  lane: number,
  { http, network }: RbacTrees,
): Promise<void> {
  const aloneParts = { target: 'http', matcher: http.alone, shadow: http.draft } as const;
  const bothParts = {
    target: 'http',
    matcher: http.beforeCheck,
    shadow: http.alone,
    shadowStatPrefix: 'tp_alone_',
  } as const;
  const networkParts = { target: 'network', matcher: network.alone } as const;
  const all = [
    ['alone', aloneParts],
    ['both', bothParts],
    ['network', networkParts],
  ] as const;
  await Promise.all(
    all.map(async ([judge, parts]) => {
      const name = extensionName(lane, judge);
      await ecds.put(name, encodeRbacExtension(name, rbacMessage(parts)));
    }),
  );
}

/** One Envoy with all lanes, our server of Checks, and a server of extension configurations. */
export async function launchRbacEnvoy(options: RbacEnvoyOptions): Promise<RbacEnvoy> {
  const { lanes, shapes, documents } = options;
  const stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const application = await serveEcho(path.join(folder.path, 'app.sock'));
  stack.defer(() => {
    application.close();
    application.closeAllConnections();
  });
  stack.use(await startJudgedAuthz(folder.path, shapes, documents));
  const ecds = stack.use(new EcdsServer());
  await ecds.listen(path.join(folder.path, 'ecds.sock'));
  const identities = new Map(
    await Promise.all(
      [...shapes.of].map(async ([name, leaf]) => [name, await pemOf(leaf)] as const),
    ),
  );
  const tls = await makeTls(shapes.authority, options.service);
  const log = path.join(folder.path, 'access.log');
  const made = { ...options, tls, log };
  const listeners = lanes.flatMap((lane) => [
    httpListener(lane, 'check', made),
    httpListener(lane, 'alone', made),
    httpListener(lane, 'both', made),
    networkListener(lane, made),
  ]);
  const envoy = await launchEnvoy({
    folder: folder.path,
    name: 'judged',
    bootstrap: JSON.stringify({
      node: { id: 'judged', cluster: 'judged' },
      admin: { address: { pipe: { path: adminSocketOf(folder.path, 'judged') } } },
      static_resources: {
        listeners,
        clusters: [
          ...judgedClusters(folder.path),
          cluster('ecds', path.join(folder.path, 'ecds.sock'), http2Options),
        ],
      },
    }),
  });
  stack.defer(async () => await envoy.stop());
  await envoy.waitReady();
  return {
    ecds,
    identityOf: (as) => identities.get(as),
    finish: async () => {
      await envoy.stop();
      const text = await readFile(log, 'utf8');
      return text.trim().split('\n').map(readLine);
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

function readLine(line: string): LoggedRequest {
  const {
    ask,
    rbac,
    details,
  }: { ask: string; rbac: LoggedRequest['rbac'] | null; details: string } = JSON.parse(line);
  return { ask, rbac: rbac ?? undefined, details };
}

interface Made extends RbacEnvoyOptions {
  readonly tls: Tls;
  readonly log: string;
}

function listener(
  { number, ports }: Lane,
  judge: Judge,
  { tls, listenerFilters = [] }: Made,
  filters: readonly object[],
): object {
  const [first, ...more] = ports.map((port) => ({
    socket_address: { address: judges[judge], port_value: port },
  }));
  return {
    name: extensionName(number, judge),
    address: first,
    additional_addresses: more.map((address) => ({ address })),
    listener_filters: listenerFilters,
    filter_chains: [{ transport_socket: transportSocket(tls, ['h2', 'http/1.1']), filters }],
  };
}

function networkListener(lane: Lane, made: Made): object {
  return listener(lane, 'network', made, [
    serialOfConnection,
    discovered(extensionName(lane.number, 'network'), rbacTypes.network),
    {
      name: 'envoy.filters.network.tcp_proxy',
      typed_config: {
        '@type': `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`,
        stat_prefix: 'inbound',
        cluster: 'application',
      },
    },
  ]);
}

function httpListener(lane: Lane, judge: 'check' | 'alone' | 'both', made: Made): object {
  const rbac = discovered(extensionName(lane.number, judge), rbacTypes.http);
  return listener(lane, judge, made, [
    sourceOfConnection,
    {
      name: 'envoy.filters.network.http_connection_manager',
      typed_config: {
        '@type': `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
        stat_prefix: 'inbound',
        codec_type: 'AUTO',
        use_remote_address: true,
        // Whoever is listed is believed, and nobody else: that is not for the proxy to say.
        forward_client_cert_details: 'FORWARD_ONLY',
        local_reply_config: {
          mappers: [
            { filter: { not_health_check_filter: {} }, headers_to_add: [...told, toldOfDenial] },
          ],
        },
        access_log: [accessLog(made.log)],
        http_filters: [
          ...(made.filters ?? []),
          jwtFilter,
          stateFilter,
          ...(judge === 'check' ? [] : [rbac]),
          ...(judge === 'check' ? [authzFilter({ isRaw: true })] : []),
          ...(judge === 'both' ? [authzUnlessAllowed()] : []),
          routerFilter,
        ],
        route_config: {
          response_headers_to_add: told,
          virtual_hosts: [
            {
              name: 'all',
              domains: ['*'],
              routes: [...(made.routes ?? []), ...made.cases.map(routeOf)],
            },
          ],
        },
        ...made.manager,
      },
    },
  ]);
}

/** What RBAC may leave as metadata of a request. */
export const rbacFields: readonly string[] = [
  'tp_enforced_',
  'tp_alone_shadow_',
  'tp_draft_shadow_',
].flatMap((prefix) => [`${prefix}effective_policy_id`, `${prefix}engine_result`]);

const told = [
  ...['reason', 'policy', 'rule'].map((name) => [name, `envoy.filters.http.ext_authz:${name}`]),
  ...rbacFields.map((name) => [name, `envoy.filters.http.rbac:${name}`]),
].map(([name = '', from = '']) => ({
  header: { key: `x-said-${name}`, value: `%DYNAMIC_METADATA(${from})%` },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
}));
/** A denial is answered before there is metadata of it. */
const toldOfDenial = {
  header: { key: 'x-said-details', value: '%RESPONSE_CODE_DETAILS%' },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
};

function routeOf(name: string): object {
  return {
    match: { prefix: '/', headers: [{ name: 'x-case', string_match: { exact: name } }] },
    route: { cluster: 'application' },
    typed_per_filter_config: {
      'envoy.filters.http.ext_authz': {
        '@type': `${TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute`,
        check_settings: { context_extensions: { 'trustplane.policy': name } },
      },
    },
  };
}

function accessLog(file: string): object {
  return {
    name: 'envoy.access_loggers.file',
    typed_config: {
      '@type': `${TYPES}.access_loggers.file.v3.FileAccessLog`,
      path: file,
      log_format: {
        json_format: {
          ask: '%REQ(X-ASK)%',
          rbac: '%DYNAMIC_METADATA(envoy.filters.http.rbac)%',
          details: '%RESPONSE_CODE_DETAILS%',
        },
      },
    },
  };
}

function state(key: string, format: string): object {
  return {
    object_key: key,
    factory_key: 'envoy.string',
    format_string: { text_format_source: { inline_string: format } },
  };
}

/** What RBAC cannot see by itself. */
const stateFilter = {
  name: 'tp-attrs',
  typed_config: {
    '@type': `${TYPES}.filters.http.set_filter_state.v3.Config`,
    on_request_headers: [
      state('tp.path', '%PATH(NQ:PATH)%'),
      state('tp.serial', '%DOWNSTREAM_PEER_SERIAL%'),
    ],
  },
};

const serialOfConnection = {
  name: 'tp-attrs',
  typed_config: {
    '@type': `${TYPES}.filters.network.set_filter_state.v3.Config`,
    on_downstream_tls_handshake: [state('tp.serial', '%DOWNSTREAM_PEER_SERIAL%')],
  },
};

/** Check is asked unless the alone tree, which is in the shadow of the other, allows. */
function authzUnlessAllowed(): object {
  const filter = authzFilter({ isRaw: true });
  return {
    ...filter,
    typed_config: {
      ...filter.typed_config,
      filter_enabled_metadata: {
        filter: 'envoy.filters.http.rbac',
        path: [{ key: 'tp_alone_shadow_engine_result' }],
        value: { string_match: { exact: 'allowed' } },
        invert: true,
      },
    },
  };
}

/** Denies all until it has come. */
function discovered(name: string, type: string): object {
  const action = {
    '@type': 'type.googleapis.com/envoy.config.rbac.v3.Action',
    name: 'not_here_yet',
    action: 'DENY',
  };
  const none = { on_no_match: { action: { name: 'not_here_yet', typed_config: action } } };
  const isHttp = type === rbacTypes.http;
  return {
    name,
    config_discovery: {
      type_urls: [type],
      apply_default_config_without_warming: true,
      default_config: {
        '@type': type,
        ...(isHttp ? {} : { stat_prefix: 'tp' }),
        matcher: none,
      },
      config_source: {
        resource_api_version: 'V3',
        initial_fetch_timeout: '15s',
        api_config_source: {
          api_type: 'GRPC',
          transport_api_version: 'V3',
          grpc_services: [{ envoy_grpc: { cluster_name: 'ecds' } }],
        },
      },
    },
  };
}
