import type { Bundle, Clock, SpiffeId } from '../spiffe/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { CheckedSvid } from './checked-svid.ts';

/** The server must prove to be `serverId` with an SVID that the bundle vouches for. */
export interface VerifiedServer {
  readonly serverId: SpiffeId;
  /** The bundle of the server's trust domain; a new object for each change. */
  bundle(): Bundle;
}

/** Any server will do, for a first contact that an operator has allowed; nothing is verified. */
export interface UnverifiedServer {
  /** Told of each connection what the server presented: DER, leaf first. */
  onUnverified(chain: readonly Uint8Array[]): void;
}

export type ServerTrust = VerifiedServer | UnverifiedServer;

/**
 * Judges what a server presented.
 * @returns its SVID, or undefined where nothing is verified
 * @throws TrustplaneError ERR_TLS_SERVER_ID, ERR_CERTIFICATE, ERR_X509_*
 */
export function verifyServer(
  chain: readonly Uint8Array[],
  trust: ServerTrust,
  clock: Clock,
): CheckedSvid | undefined {
  if (!('serverId' in trust)) {
    trust.onUnverified(chain);
    return undefined;
  }
  const checked = new CheckedSvid(chain, { bundle: () => trust.bundle(), clock });
  const { spiffeId } = checked.svid;
  if (spiffeId.equals(trust.serverId)) return checked;
  throw new TrustplaneError(
    'ERR_TLS_SERVER_ID',
    `the server should be ${trust.serverId.toString()}; it is ${spiffeId.toString()}`,
  );
}
