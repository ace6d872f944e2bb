import { setField } from './config-edit.ts';
import type { ConfigNode } from './config-node.ts';
import {
  callerTls,
  type EnvoyView,
  filtersOf,
  isAuthorization,
  isLocal,
  verifiesCallers,
} from './envoy-view.ts';
import type { Part } from './find-parts.ts';
import type { LintReport } from './lint-report.ts';

const CONNECT_MODES: readonly string[] = [
  'IMMEDIATE',
  'ON_DOWNSTREAM_DATA',
  'ON_DOWNSTREAM_TLS_HANDSHAKE',
];

/** What can be reached, and how. */
export function checkListeners(envoy: EnvoyView, report: LintReport): void {
  for (const { node } of envoy.of('admin')) {
    const address = node.get('address', 'socket_address', 'address');
    if (address === undefined || isLocal(node.get('address'))) continue;
    const loopback = address.text()?.includes(':') === true ? '::1' : '127.0.0.1';
    const edit = setField(node, ['address', 'socket_address', 'address'], loopback);
    report.add('admin-exposed', address, edit);
  }
  for (const { node, scope } of envoy.of('tcp-proxy')) {
    const age = ['max_downstream_connection_duration'];
    if (verifiesCallers(scope['filter-chain']) && (node.seconds(...age) ?? 0) <= 0)
      report.want('connection-age-unbounded', node, age, '3600s');
    checkConnect(node, scope['filter-chain'], report);
  }
  checkPlaintext(envoy, report);
}

/** Filters of connections decide when the first bytes come. */
function checkConnect(proxy: ConfigNode, chain: ConfigNode | undefined, report: LintReport): void {
  if (chain === undefined || !filtersOf(chain, 'filters').some(isAuthorization)) return;
  if (proxy.choice(CONNECT_MODES, 'upstream_connect_mode') !== 'ON_DOWNSTREAM_DATA')
    report.add('connected-before-authz', proxy.get('upstream_connect_mode') ?? proxy);
}

/** What mTLS protects at one chain must not be open at another. */
function checkPlaintext(envoy: EnvoyView, report: LintReport): void {
  const chains = envoy.of('filter-chain');
  const isProtected = (part: Part): boolean =>
    verifiesCallers(part.node) &&
    callerTls(part.node)?.isTrue('require_client_certificate') === true;
  const protectedClusters = new Set(
    chains.filter(isProtected).flatMap(({ node }) => [...envoy.clustersOf(node)]),
  );
  if (protectedClusters.size === 0) return;
  for (const { node, scope } of chains) {
    if (node.get('transport_socket') !== undefined && !isRaw(node.text('transport_socket', 'name')))
      continue;
    const address = scope.listener?.get('address');
    if (address === undefined || isLocal(address)) continue;
    const open = [...envoy.clustersOf(node)].some((name) => protectedClusters.has(name));
    if (open) report.add('plaintext-beside-mtls', node);
  }
}

function isRaw(name: string | undefined): boolean {
  return name === 'envoy.transport_sockets.raw_buffer';
}
