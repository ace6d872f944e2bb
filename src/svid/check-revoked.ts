import { type Revocation, type RevocationSubject, TrustplaneError } from '../spiffe/index.ts';
import type { IssuedSvid } from './issued-svid.ts';

/** The revocation that refuses an SVID now. */
export type FindRevocation = (subject: RevocationSubject) => Revocation | undefined;

type Svid = Pick<IssuedSvid, 'spiffeId' | 'serialNumber' | 'signedAt'>;

export function isSvidRevoked(
  entryId: string,
  { spiffeId, serialNumber, signedAt: issuedAt }: Svid,
  find: FindRevocation | undefined,
): boolean {
  return find?.({ spiffeId, serialNumber, issuedAt, entryId }) !== undefined;
}

/** @throws TrustplaneError ERR_SVID_REVOKED */
export function checkRevoked(entryId: string, svid: Svid, find: FindRevocation | undefined): void {
  if (!isSvidRevoked(entryId, svid, find)) return;
  const { serialNumber } = svid;
  throw new TrustplaneError('ERR_SVID_REVOKED', `the SVID with serial ${serialNumber} is revoked`);
}
