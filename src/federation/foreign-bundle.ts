import {
  type Bundle,
  bundleDigest,
  bundlesEqual,
  checkBundle,
  MAX_SEQUENCE_LEAP,
  TrustplaneError,
} from '../spiffe/index.ts';

/** What is kept of a foreign trust domain's keys. */
export interface ForeignBundle {
  readonly bundle: Bundle;
  /** The highest sequence number accepted so far; what comes later has none below it. */
  readonly highestSequence: bigint | undefined;
}

/**
 * What is kept once `bundle` comes in the place of `before`, which is given back when nothing changes.
 * A number never falls, rises by at most 2^32, and stays only with the same keys; a bundle without a
 * number is newer than all before it (SPIFFE Federation §4.2), but does not let the next one fall.
 * @throws TrustplaneError ERR_BUNDLE, ERR_BUNDLE_SEQUENCE
 */
export function acceptBundle(before: ForeignBundle | undefined, bundle: Bundle): ForeignBundle {
  checkBundle(bundle);
  const next = withoutTwins(bundle);
  if (before === undefined) return { bundle: next, highestSequence: next.sequenceNumber };
  if (bundlesEqual(before.bundle, next)) return before;
  const { sequenceNumber } = next;
  if (sequenceNumber === undefined) return { ...before, bundle: next };
  const fault = sequenceFault(before, next, sequenceNumber);
  if (fault === undefined) return { bundle: next, highestSequence: sequenceNumber };
  throw new TrustplaneError(
    'ERR_BUNDLE_SEQUENCE',
    `the bundle of ${next.trustDomain.name} has the sequence number ${sequenceNumber}, ${fault}`,
  );
}

function sequenceFault(
  { bundle, highestSequence = 0n }: ForeignBundle,
  next: Bundle,
  sequence: bigint,
): string | undefined {
  if (sequence < highestSequence) return `below ${highestSequence}, which was there before`;
  if (sequence - highestSequence > MAX_SEQUENCE_LEAP) {
    return `more than 2^32 above ${highestSequence}, which was there before`;
  }
  if (sequence === bundle.sequenceNumber && !haveSameKeys(bundle, next)) {
    return 'as the one that is there, but other keys';
  }
  return undefined;
}

function haveSameKeys(one: Bundle, other: Bundle): boolean {
  const keysOf = (bundle: Bundle): string =>
    bundleDigest({ ...bundle, refreshHintSeconds: undefined });
  return keysOf(one) === keysOf(other);
}

function withoutTwins(bundle: Bundle): Bundle {
  const unique = new Map(
    bundle.x509Authorities.map((authority) => [
      Buffer.from(authority.certificate).toString('base64'),
      authority,
    ]),
  );
  return unique.size === bundle.x509Authorities.length
    ? bundle
    : { ...bundle, x509Authorities: [...unique.values()] };
}
