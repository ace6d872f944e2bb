import type { ResourceRef } from './resource.ts';

/** That a client still has a version which it drops unless it hears of it. */
interface Lease {
  readonly version: string;
  /** When it was sent or heard of last, in milliseconds since the epoch. */
  readonly renewedAt: number;
}

/** By name. Immutable, and shared where nothing changes. */
export type Leases = ReadonlyMap<string, Lease>;

/** Tells the client that what it has stays: a resource without its body. */
export interface Heartbeat {
  readonly name: string;
  readonly version: string;
  readonly ttlMs: number;
}

/** Three in a TTL, so that one may be lost. */
const HEARTBEATS_PER_TTL = 3;

/** How long after one heartbeat the next is due, in milliseconds. */
export function heartbeatInterval(ttlMs: number): number {
  return Math.ceil(ttlMs / HEARTBEATS_PER_TTL);
}

export function isDue(elapsedMs: number, ttlMs: number): boolean {
  return elapsedMs >= heartbeatInterval(ttlMs);
}

export const noLeases: Leases = new Map();

/** The client has taken these, which were sent at that time. */
export function takeLeases(
  leases: Leases,
  refs: readonly ResourceRef[],
  renewedAt: number,
): Leases {
  if (leases.size === 0 && refs.every(({ ttlMs }) => ttlMs === undefined)) return leases;
  const next = new Map(leases);
  for (const { name, version, ttlMs } of refs) {
    if (ttlMs === undefined) next.delete(name);
    else next.set(name, { version, renewedAt });
  }
  return next;
}

export function renewLeases(
  leases: Leases,
  heartbeats: readonly Heartbeat[],
  renewedAt: number,
): Leases {
  if (heartbeats.length === 0) return leases;
  const renewed = heartbeats.map(({ name, version }) => [name, { version, renewedAt }] as const);
  return new Map([...leases, ...renewed]);
}

export function withoutLeases(leases: Leases, names: readonly string[]): Leases {
  if (!names.some((name) => leases.has(name))) return leases;
  const left = new Map(leases);
  for (const name of names) left.delete(name);
  return left;
}
