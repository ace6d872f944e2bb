import type { Bundle } from '../spiffe/index.ts';
import type { VerifiedBundleMessage } from './bundle-message.ts';
import {
  firstKnownAt,
  type PublishingAuthority,
  receivableAuthorities,
} from './publishing-authority.ts';

type Heard = Pick<VerifiedBundleMessage, 'sequence' | 'digest' | 'issuedAt' | 'expiresAt'>;

/** How long another server may be ahead of what this one sees of the store. */
const AHEAD_MS = 10_000;

/** What decides whether this server publishes the own bundle. */
export interface PublishState {
  /** As it is in the store now. */
  readonly bundle: Bundle;
  /** As `bundleDigest` makes it. */
  readonly digest: string;
  /** The newest message that was heard with this bundle, from whichever server. */
  readonly said: Heard | undefined;
  /** What was published before, as far as that is known. */
  readonly before: Bundle | undefined;
  /** The newest message that was heard with a later bundle. */
  readonly ahead: Heard | undefined;
  /** Late readers get the bundle as it is now, or there is no stream for them. */
  readonly isStored: boolean;
  /** This server's authorities. */
  readonly own: readonly PublishingAuthority[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** until: milliseconds since the epoch; Infinity: until something else changes. */
export type PublishDecision =
  | { readonly type: 'publish'; readonly authorities: readonly PublishingAuthority[] }
  | { readonly type: 'wait'; readonly until: number; readonly why?: string };

/**
 * A bundle is published at once when it is new, whatever else was heard: the holder of a stolen key
 * keeps nobody from it. And again when half of its message's life is over, and when late readers would
 * get another. A server none of whose authorities receivers can have leaves it to the others.
 */
export function decidePublish(state: PublishState): PublishDecision {
  const { bundle, digest, said, before, ahead, isStored, own, now } = state;
  const sequence = bundle.sequenceNumber;
  if (sequence === undefined) return { type: 'wait', until: Number.POSITIVE_INFINITY };
  const isNew = said?.digest !== digest;
  if (!isNew && ahead !== undefined && ahead.sequence > sequence) {
    const until = ahead.issuedAt + AHEAD_MS;
    const why = `a bundle ${ahead.sequence} was published, the store has ${sequence}`;
    if (now < until) return { type: 'wait', until, why };
  }
  const renewAt = isNew ? now : halfLife(said);
  if (now < renewAt && isStored) return { type: 'wait', until: renewAt };
  const authorities = receivableAuthorities(own, bundle, before, now);
  if (authorities.length > 0) return { type: 'publish', authorities };
  const knownAt = firstKnownAt(own, bundle);
  if (knownAt > now) {
    const why = 'receivers do not know the authorities of this server yet';
    return { type: 'wait', until: knownAt, why };
  }
  const why = 'this server has no authority that is valid now';
  return { type: 'wait', until: Number.POSITIVE_INFINITY, why };
}

/** When a message is signed again. Instants in milliseconds since the epoch. */
export function halfLife({
  issuedAt,
  expiresAt,
}: {
  readonly issuedAt: number;
  readonly expiresAt: number;
}): number {
  return issuedAt + (expiresAt - issuedAt) / 2;
}
