import {
  type P256KeyPair,
  parseX509Svid,
  type SpiffeId,
  TrustplaneError,
  type X509Svid,
} from '../spiffe/index.ts';
import type { SvidGrant } from './svid-issuer.ts';

const SECOND_MS = 1_000;

/**
 * Parses what the issuer sent and checks that it is what was asked for: the entry's SPIFFE ID, our
 * key, the life it is said to have.
 * @throws TrustplaneError ERR_SVID_REFUSED
 */
export function checkGrant(grant: SvidGrant, keys: P256KeyPair, spiffeId: SpiffeId): X509Svid {
  const svid = parseX509Svid(grant.certificateChain);
  if (!svid.spiffeId.equals(spiffeId)) {
    throw refused(`${spiffeId.toString()} was asked for; got ${svid.spiffeId.toString()}`);
  }
  if (!Buffer.from(svid.leaf.publicKey).equals(keys.publicKey)) {
    throw refused('the leaf has another public key than the request');
  }
  if (Math.abs(grant.expiresAt - svid.leaf.notAfter) > SECOND_MS) {
    throw refused('it does not expire when the issuer says it does');
  }
  return svid;
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_SVID_REFUSED', `the issuer's X509-SVID is refused: ${why}`);
}
