import { type Bundle, type JwtSvid, TrustplaneError, verifyJwtSvid } from '../spiffe/index.ts';
import type { JwtGrant, JwtRequest } from './jwt-issuer.ts';

/** Between this host's clock and the issuer's; as verifiers allow. */
const LEEWAY_MS = 60_000;
const SECOND_MS = 1_000;

/**
 * Parses what the issuer sent and checks that it is what was asked for, and that those who have the own
 * bundle can verify it: nobody is given a token whose key was not published before.
 * @throws TrustplaneError ERR_SVID_REFUSED; ERR_SVID_AUTHORITY when its key is not in the bundle
 */
export function checkJwtGrant(
  { token, expiresAt }: JwtGrant,
  { spiffeId, audience }: JwtRequest,
  own: Bundle,
  now: number,
): JwtSvid {
  const svid = verify(token, audience[0] ?? '', own, now);
  if (!svid.spiffeId.equals(spiffeId)) {
    throw refused(`${spiffeId.toString()} was asked for; got ${svid.spiffeId.toString()}`);
  }
  const isSame = svid.audience.length === audience.length;
  if (!isSame || !audience.every((value) => svid.audience.includes(value))) {
    throw refused('it has another audience than was asked for');
  }
  if (Math.abs(expiresAt - svid.expiresAt) > SECOND_MS) {
    throw refused('it does not expire when the issuer says it does');
  }
  return svid;
}

function verify(token: string, audience: string, own: Bundle, now: number): JwtSvid {
  const bundleOf = () => own;
  try {
    return verifyJwtSvid(token, { audience, bundleOf, now, leewayMs: LEEWAY_MS });
  } catch (error) {
    if (!(error instanceof TrustplaneError)) throw error;
    if (error.code !== 'ERR_JWT_AUTHORITY') throw refused(error.message);
    throw new TrustplaneError('ERR_SVID_AUTHORITY', error.message, { cause: error });
  }
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_SVID_REFUSED', `the issuer's JWT-SVID is refused: ${why}`);
}
