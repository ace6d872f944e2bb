import type { Revocation } from '../spiffe/index.ts';

/** What both say; `before` itself when it says all that `next` does. */
export function joinRevocations(next: Revocation, before: Revocation | undefined): Revocation {
  if (before === undefined) return next;
  const isCovered = before.issuedBefore >= next.issuedBefore && before.expiresAt >= next.expiresAt;
  if (isCovered) return before;
  return {
    ...next,
    issuedBefore: Math.max(before.issuedBefore, next.issuedBefore),
    expiresAt: Math.max(before.expiresAt, next.expiresAt),
  };
}
