import { setTimeout as delay } from 'node:timers/promises';
import type { AuthorityClient } from '../../src/client/index.ts';

/** The authorities of a trust domain that somebody trusts now, each by what is its own. */
export type TrustedRoots = () => Promise<ReadonlySet<string>> | ReadonlySet<string>;

/**
 * Prepares an X.509 authority in place of one that is prepared; returns its ID, and the milliseconds
 * from the call until somebody else trusts it. Throws when nobody does within a minute.
 */
export async function timeRoot(
  authorities: Pick<AuthorityClient, 'prepare'>,
  roots: TrustedRoots,
): Promise<{ readonly authorityId: string; readonly tookMs: number }> {
  const before = await roots();
  const begin = performance.now();
  const preparing = authorities.prepare('x509');
  const [tookMs, { authorityId }] = await Promise.all([arrival(roots, before, begin), preparing]);
  return { authorityId, tookMs };
}

/** Longer than any poll in tests. */
const TIMEOUT_MS = 60_000;
const EVERY_MS = 1;

async function arrival(
  roots: TrustedRoots,
  before: ReadonlySet<string>,
  begin: number,
): Promise<number> {
  for (;;) {
    const now = await roots();
    const tookMs = performance.now() - begin;
    if ([...now].some((root) => !before.has(root))) return tookMs;
    if (tookMs > TIMEOUT_MS) throw new Error(`no new root within ${TIMEOUT_MS} ms`);
    // Leaves the processors to those who are measured.
    await delay(EVERY_MS);
  }
}
