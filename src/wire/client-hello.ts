import type { Socket } from 'node:net';

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE = 22;
/** The most that a TLS record holds (RFC 8446, section 5.1). */
const MAX_RECORD_BYTES = 16_384;
/** ALPN (RFC 7301) with `acme-tls/1` and nothing else, as RFC 8737, section 3 has it. */
const ACME_ALPN = Buffer.from('0010000d000b0a61636d652d746c732f31', 'hex');

/** Whether a ClientHello offers the protocol `acme-tls/1` alone, as who validates an ACME challenge does. */
export function asksForAcme(clientHello: Uint8Array): boolean {
  return Buffer.from(clientHello).includes(ACME_ALPN);
}

/**
 * The first record of a connection, which stays to be read; what came so far where it is no TLS
 * handshake. Undefined when the peer leaves before that.
 */
export async function peekClientHello(socket: Socket): Promise<Uint8Array | undefined> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  let seen = Buffer.alloc(0);
  const onReadable = (): void => {
    for (let chunk = read(socket); chunk !== undefined; chunk = read(socket)) {
      seen = Buffer.concat([seen, chunk]);
    }
    if (seen.length >= recordEnd(seen)) resolve(seen);
  };
  const onClose = (): void => resolve(undefined);
  socket.on('readable', onReadable).on('close', onClose);
  const hello = await promise;
  socket.off('readable', onReadable).off('close', onClose);
  if (hello !== undefined) socket.unshift(hello);
  return hello;
}

/** How many bytes are needed to judge. */
function recordEnd(seen: Uint8Array): number {
  const [type = HANDSHAKE, , , high = 0, low = 0] = seen;
  if (type !== HANDSHAKE) return 0;
  return RECORD_HEADER_BYTES + Math.min((high << 8) | low, MAX_RECORD_BYTES);
}

function read(socket: Socket): Uint8Array | undefined {
  const chunk: unknown = socket.read();
  return chunk instanceof Uint8Array ? chunk : undefined;
}
