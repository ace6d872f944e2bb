import { agentCluster } from './agent-source.ts';
import type { BootstrapOptions, CheckServer, JwtProvider, Outbound } from './bootstrap-options.ts';
import { note, type Shared, type Tree, type TreeMap } from './commented-tree.ts';
import { addressOf, isName, type Place } from './place.ts';
import { serverTls, webTls } from './tls-context.ts';

export const applicationCluster = 'application';
export const serverCluster = 'server';
export const checkCluster = 'trustplane_authz';

/** The name of the cluster where a provider's keys are. */
export function keysCluster(index: number): string {
  return `login_${index}`;
}

const HTTP2 = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Every cluster of the sidecar, in the order of a request. */
export function clustersOf(options: BootstrapOptions, source: Shared): Tree {
  const { inbound, outbound } = options;
  return [
    ...(inbound === undefined ? [] : [cluster(applicationCluster, inbound.application, {}, '1s')]),
    ...(outbound === undefined ? [] : [server(options, outbound, source)]),
    ...(inbound?.jwtProviders ?? []).flatMap(keys),
    note(
      "The agent's Unix socket. Envoy must be able to open it; the agent sees which process did.",
      cluster(
        agentCluster,
        { kind: 'socket', path: options.agentSocket },
        protocol(keptAlive('Notices an agent that hangs.')),
        '1s',
      ),
    ),
    ...(inbound?.check === undefined ? [] : [check(options, inbound.check, source)]),
  ];
}

function server(options: BootstrapOptions, { peer, peerIds }: Outbound, source: Shared): TreeMap {
  const half = `${options.maxConnectionSeconds / 2}s`;
  const age = note(
    "A connection keeps the SVID it began with: renew it, gracefully, before the server's limit does, at half the lifetime of the SVIDs.",
    half,
  );
  const tls = serverTls({
    bootstrap: options,
    ids: peerIds,
    why: "The server's identity: without this list any workload of the trust domain could pose as it.",
    alpn: options.isTcp ? undefined : ['h2'],
    source,
  });
  const http = protocol({}, { idle_timeout: '900s', max_connection_duration: age });
  return cluster(
    serverCluster,
    peer,
    { ...(options.isTcp ? {} : http), transport_socket: tls },
    '5s',
  );
}

function check(
  bootstrap: BootstrapOptions,
  { place, spiffeId }: CheckServer,
  source: Shared,
): Tree {
  const http2 = protocol(keptAlive('Notices an answerer that hangs; until then nobody gets in.'));
  const tls =
    spiffeId === undefined
      ? {}
      : {
          transport_socket: serverTls({
            bootstrap,
            ids: [spiffeId],
            why: 'Who answers: without this list any workload of the trust domain could let everybody in.',
            alpn: ['h2'],
            source,
          }),
        };
  return note(
    place.kind === 'socket'
      ? 'Where it is answered whether a request is allowed: `authz.socket` of the configuration.'
      : 'Where it is answered whether a request is allowed: `authz.listen` of the configuration.',
    cluster(checkCluster, place, { ...http2, ...tls }, '1s'),
  );
}

function keys(provider: JwtProvider, index: number): Tree[] {
  if (!('url' in provider.keys)) return [];
  const { host, port } = provider.keys;
  const tls = { transport_socket: webTls(host) };
  return [
    note(
      `Where the keys of ${provider.issuer} are.`,
      cluster(keysCluster(index), { kind: 'port', host, port }, tls, '5s'),
    ),
  ];
}

function cluster(name: string, place: Place, more: TreeMap, connectTimeout: string): TreeMap {
  return {
    name,
    ...resolution(place),
    connect_timeout: connectTimeout,
    ...more,
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: addressOf(place) } }] }],
    },
  };
}

/** How the address is found; without a word on it Envoy takes IPv6 alone where a name has both. */
function resolution(place: Place): TreeMap {
  if (!isName(place)) return { type: 'STATIC' };
  return place.kind === 'port' && place.host === 'localhost'
    ? {
        type: 'LOGICAL_DNS',
        dns_lookup_family: note('Whichever of 127.0.0.1 and ::1 answers.', 'ALL'),
      }
    : {
        type: 'STRICT_DNS',
        dns_lookup_family: note(
          'Without this line Envoy takes IPv6 alone where a name has both.',
          'V4_PREFERRED',
        ),
      };
}

function keptAlive(why: string): TreeMap {
  return { connection_keepalive: note(why, { interval: '30s', timeout: '10s' }) };
}

function protocol(http2: TreeMap, common?: TreeMap): TreeMap {
  return {
    typed_extension_protocol_options: {
      [HTTP2]: {
        '@type': `type.googleapis.com/${HTTP2}`,
        common_http_protocol_options: common,
        explicit_http_config: { http2_protocol_options: http2 },
      },
    },
  };
}
