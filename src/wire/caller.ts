import type { PeerProcess } from './peer-process.ts';
import { peerOf } from './peers.ts';
import { type RemoteCaller, tlsPeers } from './tls-peers.ts';

/** A process on this machine, as the kernel names it. */
export interface LocalCaller {
  readonly kind: 'local';
  readonly peer: PeerProcess;
}

/** Who makes a call, on whichever kind of socket. */
export type Caller = LocalCaller | RemoteCaller;

/**
 * Who makes a call, judged now: an SVID that was good when the connection was made is verified again
 * with the present bundle and time. Long streams ask again before each thing they give away.
 * @throws TrustplaneError ERR_X509_* when the caller's SVID is no longer good; ERR_PEER_GONE;
 * ERR_PEER_UNKNOWN when the connection is closed
 */
export function callerOf(call: { getPeer(): string }): Caller {
  const remote = tlsPeers.get(call.getPeer());
  return remote?.verify() ?? { kind: 'local', peer: peerOf(call) };
}
