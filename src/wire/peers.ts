import { TrustplaneError } from '../spiffe/index.ts';
import { linuxKernel } from './libc.ts';
import type { PeerProcess } from './peer-process.ts';
import { gone, ProcessTable } from './process-table.ts';

/** The processes connected to this one, over whichever of its Unix sockets. */
export const peers: ProcessTable = new ProcessTable(linuxKernel);

/** Those that have, or had, this pid and have connections to this process. */
export function peersWithPid(pid: number): readonly PeerProcess[] {
  return peers.withPid(pid);
}

/**
 * The living process behind a call on a Unix socket, as the kernel named it when the connection was
 * accepted; nothing in it comes from the peer.
 * @throws TrustplaneError ERR_PEER_GONE when it has exited and left the connection to another;
 * ERR_PEER_UNKNOWN for a call that came another way, or whose connection is closed
 */
export function peerOf(call: { getPeer(): string }): PeerProcess {
  const peer = peers.get(call.getPeer());
  if (peer === undefined) {
    throw new TrustplaneError(
      'ERR_PEER_UNKNOWN',
      'the call has no process behind it: its connection is closed, or did not come over a Unix socket',
    );
  }
  if (!peer.isAlive()) throw gone(peer.pid);
  return peer;
}
