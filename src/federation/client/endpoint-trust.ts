import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  type Bundle,
  type Clock,
  quote,
  type SpiffeId,
  TrustplaneError,
} from '../../spiffe/index.ts';
import { verifyServer } from '../../wire/index.ts';

/** By what the server at an endpoint is judged (SPIFFE Federation §5.2); one never stands in for the other. */
export type EndpointTrust =
  | {
      readonly type: 'https_web';
      /** PEM of the authorities in place of those the machine trusts. */
      readonly ca: string | undefined;
    }
  | {
      readonly type: 'https_spiffe';
      /** Exactly this one. */
      readonly endpointSpiffeId: SpiffeId;
      /** The latest of the ID's trust domain. */
      readonly bundle: Bundle;
    };

/**
 * Judges what a server presented.
 * @param chain DER, leaf first
 * @param host DNS name, or IP address without brackets
 * @throws TrustplaneError ERR_FETCH_TLS; ERR_TLS_SERVER_ID, ERR_CERTIFICATE, ERR_X509_*
 */
export function judgeEndpoint(
  socket: TLSSocket,
  chain: readonly Uint8Array[],
  host: string,
  trust: EndpointTrust,
  clock: Clock,
): void {
  if (trust.type === 'https_web') return judgeWeb(socket, chain, host);
  const { endpointSpiffeId: serverId, bundle } = trust;
  verifyServer(chain, { serverId, bundle: () => bundle }, clock);
}

/** OpenSSL has built the path to an authority; the name is compared as RFC 6125 says, without the subject's common name. */
function judgeWeb(socket: TLSSocket, [leaf]: readonly Uint8Array[], host: string): void {
  if (!socket.authorized || leaf === undefined) {
    throw refused(
      `the certificate of ${host} is not trusted: ${String(socket.authorizationError)}; one of a private authority takes --web-ca-file (webCaFile), an SVID the profile https_spiffe`,
    );
  }
  const certificate = new X509Certificate(leaf);
  const named =
    isIP(host) === 0
      ? certificate.checkHost(host, { subject: 'never', partialWildcards: false })
      : certificate.checkIP(host);
  if (named !== undefined) return;
  const names = certificate.subjectAltName ?? 'no name';
  throw refused(`the certificate of ${host} is for ${quote(names, 200)}`);
}

function refused(message: string): TrustplaneError {
  return new TrustplaneError('ERR_FETCH_TLS', message);
}
