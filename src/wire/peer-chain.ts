import type { TLSSocket } from 'node:tls';

/** More certificates than any SVID may have are not read. */
const MAX_READ = 16;

/**
 * The certificates that the peer presented, DER, leaf first; empty when there is none. To be called
 * once per connection: Node takes the intermediates out of the connection as it returns them.
 */
export function takePeerChain(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < MAX_READ) {
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}
