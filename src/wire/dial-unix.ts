import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';
import { grpcClientOptions } from './grpc-limits.ts';
import { parseSocketPath } from './socket-file.ts';

/** What a grpc-js client is constructed from: `new Client(target, credentials, options)`. */
export interface Dial {
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/**
 * How to reach a Unix socket: message limits as on the server, and quick reconnects (50 ms to 1 s),
 * since a refused connect on the same machine means a server that is starting or a full queue.
 * @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG
 */
export function dialUnix(path: string): Dial {
  return {
    target: `unix:${parseSocketPath(path)}`,
    credentials: credentials.createInsecure(),
    options: {
      ...grpcClientOptions,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 1_000,
    },
  };
}
