import type { TLSSocket } from 'node:tls';

/** What no SVID needs, in certificates and bytes. */
const COSTLY_LENGTH = 8;
const COSTLY_BYTES = 16_384;

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

/**
 * True for a chain that nobody sends who means well: OpenSSL has then spent up to a hundred
 * milliseconds on signatures, before anything here could look at it.
 */
export function isCostly(chain: readonly Uint8Array[]): boolean {
  const bytes = chain.reduce((sum, { length }) => sum + length, 0);
  return chain.length > COSTLY_LENGTH || bytes > COSTLY_BYTES;
}
