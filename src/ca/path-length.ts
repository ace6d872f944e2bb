import { type Certificate, TrustplaneError } from '../spiffe/index.ts';

/** How many authorities may stand one below the other under a root that sets no limit; chains have at most 8 certificates. */
const MAX_DEPTH = 4;

/**
 * How many authorities may stand below one that `issuer` signs.
 * @throws TrustplaneError ERR_CA_PATH_LENGTH
 */
export function pathLengthBelow(issuer: Pick<Certificate, 'pathLength' | 'subject'>): number {
  const allowed = Math.min(issuer.pathLength ?? MAX_DEPTH, MAX_DEPTH);
  if (allowed > 0) return allowed - 1;
  throw new TrustplaneError(
    'ERR_CA_PATH_LENGTH',
    `the authority ${issuer.subject.text} allows no authority below it (path length 0)`,
  );
}
