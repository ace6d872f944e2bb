import { type Heartbeat, heartbeatInterval, isDue } from './leases.ts';
import type { ResourceRef } from './resource.ts';
import type { ResourceView } from './resource-view.ts';
import type { StreamState } from './stream-state.ts';

/**
 * What keeps a resource that was sent alive: nothing yet, a heartbeat, or, where the last one is so
 * long ago that the client may have dropped it, the whole once more. Of a version the client refused
 * the one before is kept alive: it is the last good one, and there is contact. While an answer is
 * outstanding it is unknown which one the client has.
 */
export function renewalOf(
  { flights, leases, claimed }: StreamState,
  { name, version, ttlMs }: ResourceRef,
  now: number,
): Heartbeat | 'whole' | undefined {
  if (ttlMs === undefined || flights.length > 0) return undefined;
  const lease = leases.get(name);
  if (lease === undefined) return claimed.has(name) ? { name, version, ttlMs } : undefined;
  const elapsedMs = now - lease.renewedAt;
  if (elapsedMs >= 0 && !isDue(elapsedMs, ttlMs)) return undefined;
  // Below 0 the clock was set back.
  if (elapsedMs < 2 * heartbeatInterval(ttlMs)) return { name, version: lease.version, ttlMs };
  return lease.version === version ? 'whole' : undefined;
}

/** When the next heartbeat of what is in this view is due, in milliseconds since the epoch; Infinity: never. */
export function nextHeartbeat(state: StreamState, view: ResourceView, now: number): number {
  let next = Infinity;
  if (state.flights.length > 0) return next;
  for (const [name, { renewedAt }] of state.leases) {
    const found = view.resolve(name, now, state.declined.has(name));
    if (typeof found !== 'object' || found.ttlMs === undefined) continue;
    const at = renewedAt + heartbeatInterval(found.ttlMs);
    if (at > now) next = Math.min(next, at);
  }
  return next;
}
