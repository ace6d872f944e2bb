import { isIPv6 } from 'node:net';
import { type ChannelCredentials, type ClientOptions, credentials } from '@grpc/grpc-js';
import { systemClock } from '../ops/index.ts';
import type { Clock, TrustplaneError } from '../spiffe/index.ts';
import { grpcClientOptions } from './grpc-limits.ts';
import type { ServerTrust } from './server-trust.ts';
import { TlsChannel } from './tls-channel.ts';
import type { TlsIdentity } from './tls-settings.ts';

export interface TlsDialOptions {
  /** DNS name or IP address. */
  readonly host: string;
  readonly port: number;
  /** What this client presents, live: a new object is presented from the next call on. Undefined for nothing. */
  readonly identity?: () => TlsIdentity | undefined;
  readonly trust: ServerTrust;
  readonly clock?: Clock;
  /** Default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

/** What a grpc-js client is constructed from: `new Client(target, credentials, options)`. Its `close` closes the connections. */
export interface TlsDial {
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: ClientOptions;
  /** Why the last handshake with the server failed, if it did: calls only say UNAVAILABLE. */
  failure(): TrustplaneError | undefined;
}

/** How to reach a server over TLS, judged by its SPIFFE ID alone. Reconnects after 100 ms to 5 s. */
export function dialTls(dial: TlsDialOptions): TlsDial {
  const { host, port, identity = () => undefined, trust, clock = systemClock } = dial;
  const target = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const handshakeTimeoutMs = dial.handshakeTimeoutMs ?? 10_000;
  const link = { host, identity, trust, clock, handshakeTimeoutMs };
  const channel = new TlsChannel(`dns:${target}`, link, {
    ...grpcClientOptions,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 5_000,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.service_config_disable_resolution': 1,
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    target,
    credentials: credentials.createInsecure(),
    options: { channelOverride: channel },
    failure: () => channel.failure,
  };
}
