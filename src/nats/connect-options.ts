import { isIP } from 'node:net';
import type { NodeConnectionOptions } from '@nats-io/transport-node';
import { TrustplaneError } from '../spiffe/index.ts';
import { buildClientTls, type ClientTlsOptions } from './client-tls.ts';
import { createLogin } from './login.ts';
import type { NatsOptions, NatsTls } from './nats-options.ts';
import {
  formatNatsAddress,
  isLoopback,
  type NatsAddress,
  parseNatsAddress,
} from './server-address.ts';

const PING_INTERVAL_MS = 5_000;
const SILENCES = 2;
const MAX_SERVERS = 16;

export type ConnectOptions = NodeConnectionOptions & { readonly tls: ClientTlsOptions | null };

/** How the link takes part in what the library does by itself. */
export interface ConnectHooks {
  retryDelayMs(): number;
  onFault(error: TrustplaneError): void;
}

/**
 * The library's options: reconnect for ever, and never a server that was not configured, which a
 * nats-server could name.
 * @throws TrustplaneError ERR_NATS_SERVERS, ERR_NATS_PLAINTEXT, ERR_NATS_LOGIN
 */
export function buildConnectOptions(options: NatsOptions, hooks: ConnectHooks): ConnectOptions {
  const { pingIntervalMs = PING_INTERVAL_MS } = options;
  const servers = parseServers(options.servers);
  const tls = options.tls ?? (servers.some(({ isTls }) => isTls) ? { server: {} } : undefined);
  if (tls === undefined && options.allowPlaintext !== true) requireLoopback(servers);
  return {
    servers: servers.map((server) => formatNatsAddress(server)),
    name: `trustplane ${options.purpose} ${options.name}`,
    tls: buildTls(tls, servers, options, hooks),
    ...(options.login === undefined
      ? {}
      : { authenticator: createLogin(options.login, (error) => hooks.onFault(error)) }),
    maxReconnectAttempts: -1,
    reconnectDelayHandler: () => hooks.retryDelayMs(),
    ignoreAuthErrorAbort: true,
    ignoreClusterUpdates: true,
    pingInterval: pingIntervalMs,
    maxPingOut: SILENCES,
    timeout: pingIntervalMs * SILENCES,
    noAsyncTraces: true,
  };
}

/** null: not even where the server offers TLS, since nothing would say whose certificate is right. */
function buildTls(
  tls: NatsTls | undefined,
  servers: readonly NatsAddress[],
  { clock }: NatsOptions,
  hooks: ConnectHooks,
): ClientTlsOptions | null {
  if (tls === undefined) return null;
  const ipAddresses = servers.map(({ host }) => host).filter((host) => isIP(host) !== 0);
  return buildClientTls(tls, ipAddresses, clock, (error) => hooks.onFault(error));
}

function parseServers(texts: readonly string[]): readonly NatsAddress[] {
  if (texts.length >= 1 && texts.length <= MAX_SERVERS) return texts.map(parseNatsAddress);
  throw new TrustplaneError(
    'ERR_NATS_SERVERS',
    `1 to ${MAX_SERVERS} nats-servers are named; got ${texts.length}`,
  );
}

function requireLoopback(servers: readonly NatsAddress[]): void {
  const far = servers.find((server) => !isLoopback(server));
  if (far === undefined) return;
  throw new TrustplaneError(
    'ERR_NATS_PLAINTEXT',
    `${formatNatsAddress(far)} is another host; without TLS anybody between could read and write. Use tls:// or name certificates`,
  );
}
