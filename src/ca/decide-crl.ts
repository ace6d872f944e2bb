import { sameBytes } from '../spiffe/index.ts';
import type { KeptCrl } from './crl-record.ts';
import type { CrlFields } from './crl-writer.ts';
import type { CrlIssuer } from './x509-ca.ts';

/** For hosts whose clocks are behind: to them a CRL that is not valid yet is none, and they refuse everybody. */
const BACKDATE_MS = 3_600_000;
/** How long a CRL outlives its authority. */
const AFTER_END_MS = 86_400_000;
/** The last second that X.509 can write, milliseconds since the epoch. */
const LAST_INSTANT = Date.UTC(9999, 11, 31, 23, 59, 59);

/** What one CRL is to say. */
export interface WantedCrl {
  readonly issuer: CrlIssuer;
  /** As `writeCrlEntries` makes it. */
  readonly revoked: Uint8Array;
  readonly isWithheld: boolean;
}

/**
 * What is to be signed in place of what is kept; undefined: that says all of it. A CRL ends after its authority
 * and all that it signed: one that ended before, with its server away, would have everybody refused. What changes is
 * pushed, and SVIDs live for less time than a CRL that could be waited for.
 */
export function decideCrl(
  { issuer, revoked, isWithheld }: WantedCrl,
  kept: KeptCrl | undefined,
  now: number,
): CrlFields | undefined {
  const end = Math.min(issuer.notAfter + AFTER_END_MS, LAST_INSTANT);
  const nextUpdate = Math.floor(end / 1_000) * 1_000;
  if (kept !== undefined && kept.isWithheld === isWithheld) {
    const { crl } = kept;
    const isGood = crl.thisUpdate <= now && crl.nextUpdate >= nextUpdate;
    if (isGood && sameBytes(crl.revoked, revoked)) return undefined;
  }
  const after = (kept?.crl.number ?? 0n) + 1n;
  const byTime = BigInt(Math.floor(now));
  const number = after > byTime ? after : byTime;
  return { number, thisUpdate: now - BACKDATE_MS, nextUpdate, revoked };
}
