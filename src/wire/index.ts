/** gRPC over Unix sockets and TLS, and HTTPS: protocol definitions, who calls, limits, the error → status table. */
export { type BytesService, type BytesTransport, createBytesHost } from './bytes-service.ts';
export { type Caller, callerOf, type LocalCaller } from './caller.ts';
export { dialTls, type TlsDial, type TlsDialOptions } from './dial-tls.ts';
export { type Dial, dialUnix } from './dial-unix.ts';
export { type Encoded, encodeField, encodeMessage, toBuffer } from './encoded.ts';
export { returnFreedMemory } from './free-memory.ts';
export { createHealth, type Health, type ServingStatus } from './health.ts';
export { takePeerChain } from './peer-chain.ts';
export type { PeerProcess } from './peer-process.ts';
export { peerOf, peersWithPid } from './peers.ts';
export { type GrpcService, loadService, messageType, strictBytes } from './protos.ts';
export { createQuickHealth, HEALTH_CHECK } from './quick-health.ts';
export type { BytesMethod } from './quick-host.ts';
export { createReflection } from './reflection.ts';
export { selfTestPeerCredentials } from './self-test.ts';
export { readServerTime } from './server-time.ts';
export {
  type ServerTrust,
  type UnverifiedServer,
  type VerifiedServer,
  verifyServer,
} from './server-trust.ts';
export { sourceNetwork } from './source-network.ts';
export { ERROR_CODE_KEY, exitCodeOf, statusOf, toServiceError } from './status.ts';
export { serveTcp, type TcpServerOptions } from './tcp-server.ts';
export type { AnonymousCaller, RemoteCaller, SvidCaller } from './tls-peers.ts';
export {
  type GrpcTlsServer,
  serveTls,
  type TlsLimits,
  type TlsServerOptions,
} from './tls-server.ts';
export { type TlsIdentity, withTlsSettings } from './tls-settings.ts';
export { serveUnix, type UnixServer, type UnixServerOptions } from './unix-server.ts';
