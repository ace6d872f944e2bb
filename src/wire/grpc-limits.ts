import type { ChannelOptions, ServerOptions } from '@grpc/grpc-js';

/** What one peer may ask of a server, the same for every gRPC server and client of trustplane. */
const grpcLimits = {
  /** Bytes of one received message. */
  maxReceiveBytes: 4_194_304,
  /** Bytes of one sent message. */
  maxSendBytes: 16_777_216,
  /** Streams open at once on one connection; the peer opens another connection for more. */
  maxConcurrentStreams: 250,
} as const;

/** What a server holds of requests that are not complete. A chunk of a request counts as 64 KiB, see there. */
export const unfinishedLimits = {
  maxBytes: 134_217_728,
  maxBytesPerOwner: 33_554_432,
  timeoutMs: 10_000,
} as const;

/** The limits as grpc-js takes them. Channelz is off: it costs memory for each connection. */
export const grpcServerOptions: ServerOptions = {
  'grpc.max_receive_message_length': grpcLimits.maxReceiveBytes,
  'grpc.max_send_message_length': grpcLimits.maxSendBytes,
  'grpc.max_concurrent_streams': grpcLimits.maxConcurrentStreams,
  'grpc.enable_channelz': 0,
  // Above it new streams are refused; in MB.
  'grpc-node.max_session_memory': 64,
};

/** What every client does alike: message limits as on the servers, no proxy, no channelz. */
export const grpcClientOptions: ChannelOptions = {
  'grpc.max_receive_message_length': grpcLimits.maxSendBytes,
  'grpc.max_send_message_length': grpcLimits.maxReceiveBytes,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
};

/** Servers on TCP also ask silent clients whether they are there, and close connections nobody uses. */
export const grpcTcpServerOptions: ServerOptions = {
  ...grpcServerOptions,
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 20_000,
  'grpc.max_connection_idle_ms': 600_000,
};

/** Without an identity one can ask for a bundle and attest: 1 MiB of unfinished requests per connection. */
export const grpcAnonymousServerOptions: ServerOptions = {
  ...grpcTcpServerOptions,
  'grpc.max_receive_message_length': 262_144,
  'grpc.max_concurrent_streams': 4,
  'grpc.max_connection_idle_ms': 60_000,
  'grpc-node.max_session_memory': 2,
};

/** Many small questions at once, as a proxy asks them, which connects anew before its SVID ends. */
export const bytesServerOptions: ServerOptions = {
  ...grpcServerOptions,
  'grpc.max_concurrent_streams': 1_000,
  'grpc.max_connection_age_ms': 600_000,
  'grpc.max_connection_age_grace_ms': 10_000,
};

/**
 * Clients that give up on calls reset their streams: at 200 ms a stall has them reset all they have
 * open. Node closes a connection after about 1,100 of them unless it is told otherwise.
 */
export const resetAllowance = { streamResetBurst: 100_000, streamResetRate: 20_000 } as const;
