import { once } from 'node:events';
import type { Server, ServerOpts } from 'node:net';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

/** Connections that may wait to be accepted; the kernel takes the lesser of this and net.core.somaxconn. */
const BACKLOG = 4096;
/** After this silence the kernel asks whether the peer is still there, ten times, a second apart. */
const KEEP_ALIVE_DELAY_MS = 15_000;

/** How accepted connections are set up. */
export const tcpSettings: ServerOpts = {
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
};

/** Host and port. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** Begins to listen; returns where, with port 0 on one that is free. @throws TrustplaneError ERR_LISTEN */
export async function listenTcp(listener: Server, { host, port }: TcpAddress): Promise<TcpAddress> {
  try {
    listener.listen({ host, port, backlog: BACKLOG });
    await once(listener, 'listening');
  } catch (error) {
    const message = `cannot listen on ${host}, port ${port}: ${whyNot(error)}`;
    throw new TrustplaneError('ERR_LISTEN', message, { cause: error });
  }
  const address = listener.address();
  if (address === null || typeof address === 'string') {
    throw new TrustplaneError('ERR_INTERNAL', 'a TCP listener has an address');
  }
  return { host: address.address, port: address.port };
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') return 'another process listens there';
  if (code === 'EADDRNOTAVAIL') return 'this host has no such address';
  if (code === 'EACCES') return 'this user may not take ports that low';
  return messageOf(error);
}
