/** This host's membership: its own SVID, its link to the servers, and what they told it. */
export type { ServerAnswer, ServerQuestion } from './ask-server.ts';
export type { NodeAttestation } from './attest-node.ts';
export type { Bootstrap } from './bootstrap.ts';
export { BroadcastOverlay } from './broadcast-overlay.ts';
export {
  type Node,
  type NodeOptions,
  type NodeStatus,
  openNode,
  type RestoredNode,
} from './node.ts';
export type { NodeIdentity } from './node-identity.ts';
export { openSealedCache, type SealedCache, type SealedState } from './sealed-cache.ts';
export type { ServerAddress } from './server-link.ts';
export { createNodeStatusService } from './status-service.ts';
export type { Confirmation } from './sync-follower.ts';
