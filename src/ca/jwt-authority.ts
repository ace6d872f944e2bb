import type { Authority } from './authority.ts';
import { keyIdentifier } from './certificate-extensions.ts';

/** Keys of a JWKS have no beginning: a clock that is set back a little need not stop the signing. */
const BACKDATE_MS = 60_000;

/** An authority that signs JWT-SVIDs; its ID is the `kid`. */
export type JwtCaAuthority = Authority;

/** @throws TrustplaneError ERR_DER, ERR_PUBLIC_KEY */
export function createJwtAuthority(
  fields: Pick<JwtCaAuthority, 'keyId' | 'state' | 'issuedAt' | 'notAfter' | 'publicKey'>,
): JwtCaAuthority {
  const authorityId = Buffer.from(keyIdentifier(fields.publicKey)).toString('hex');
  return { ...fields, authorityId, notBefore: fields.issuedAt - BACKDATE_MS };
}
