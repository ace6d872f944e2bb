/** gRPC over Unix sockets: protocol definitions, kernel-attested peers, limits, the error → status table. */
export { type Dial, dialUnix } from './dial-unix.ts';
export { createHealth, type Health, type ServingStatus } from './health.ts';
export type { PeerProcess } from './peer-process.ts';
export { peerOf } from './peers.ts';
export { type GrpcService, loadService, messageType, strictBytes } from './protos.ts';
export { createReflection } from './reflection.ts';
export { selfTestPeerCredentials } from './self-test.ts';
export { ERROR_CODE_KEY, exitCodeOf, statusOf, toServiceError } from './status.ts';
export { serveUnix, type UnixServer, type UnixServerOptions } from './unix-server.ts';
