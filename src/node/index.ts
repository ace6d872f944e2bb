/** This host's membership: its own SVID, its link to the servers, and what they told it. */
export type { NodeAttestation } from './attest-node.ts';
export type { Bootstrap } from './bootstrap.ts';
export { type Node, type NodeOptions, type NodeStatus, openNode } from './node.ts';
export type { NodeIdentity } from './node-identity.ts';
export type { ServerAddress } from './server-link.ts';
