import {
  type Heartbeat,
  isDue,
  type Leases,
  noLeases,
  takeLeases,
  withoutLeases,
} from './leases.ts';
import type { ResourceRef } from './resource.ts';

/** What one stream has asked for of one type, was sent and has answered. Immutable. */
export interface StreamState {
  /** Whether a request has come: nothing is sent before. */
  readonly started: boolean;
  /** Everything the caller may have: because it named nothing, or because it named `*`. */
  readonly wildcard: 'none' | 'implied' | 'asked';
  readonly names: ReadonlySet<string>;
  /** The last nonce sent; they count from 1. */
  readonly nonce: number;
  /**
   * Name → version the client has, or has refused: not to be sent again. UNSURE: it may hold some
   * version, but is to be answered again.
   */
  readonly served: ReadonlyMap<string, string>;
  /** Names of which the client has a version: sent since it asked for them, and not refused. */
  readonly holds: ReadonlySet<string>;
  /** Names in `served` only because the client says so, from an earlier stream. */
  readonly claimed: ReadonlySet<string>;
  /** Names of a refused response that held several: sent one by one, to tell the bad from the good. */
  readonly alone: ReadonlySet<string>;
  /** Names of which the client refuses the whole form. */
  readonly declined: ReadonlySet<string>;
  /** Names that a stale request left out: if the next one has them, they count as new (SotW). */
  readonly dropped: ReadonlySet<string>;
  /** Names of which the client was told that there is nothing. */
  readonly told: ReadonlySet<string>;
  /** What the client drops unless it hears of it, by name. */
  readonly leases: Leases;
  /** Responses not yet answered, oldest first. */
  readonly flights: readonly Flight[];
}

interface Flight {
  readonly nonce: number;
  readonly refs: readonly ResourceRef[];
  /** Those of its names the client had no version of before. */
  readonly fresh: readonly string[];
  readonly heartbeats: readonly Heartbeat[];
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
}

/** No version. */
export const UNSURE = '';

const none: ReadonlySet<string> = new Set<string>();

export const initialStreamState: StreamState = {
  started: false,
  wildcard: 'none',
  names: none,
  nonce: 0,
  served: new Map(),
  holds: none,
  claimed: none,
  alone: none,
  declined: none,
  dropped: none,
  told: none,
  leases: noLeases,
  flights: [],
};

/** A client's answer to a response: what it held, and whether the client took it. */
export interface Verdict {
  readonly accepted: boolean;
  readonly refs: readonly ResourceRef[];
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
}

/**
 * Notes the answer to the response with that nonce. A refused resource is not sent again until its
 * content changes; if it was refused together with others, each of them is sent once more, alone. One
 * that has a lesser form is followed by that. A heartbeat that is refused, or answered so late that what
 * it kept may have been dropped before it came, is followed by the whole; there is no verdict on it.
 */
export function settle(
  state: StreamState,
  nonce: string,
  accepted: boolean,
  now: number,
): { readonly state: StreamState; readonly verdict: Verdict | undefined } {
  const index = state.flights.findIndex((flight) => String(flight.nonce) === nonce);
  const flight = state.flights[index];
  if (flight === undefined) return { state, verdict: undefined };
  const { refs, fresh, heartbeats, sentAt } = flight;
  const settled = { ...state, flights: state.flights.slice(index + 1) };
  if (heartbeats.length > 0) {
    const isLate = ({ ttlMs }: Heartbeat): boolean => isDue(now - sentAt, ttlMs);
    const dropped = accepted ? heartbeats.filter(isLate) : heartbeats;
    return { state: forget(settled, dropped), verdict: undefined };
  }
  return {
    state: accepted
      ? accept(settled, refs, sentAt)
      : refuse({ ...settled, holds: without(settled.holds, fresh) }, refs),
    verdict: { accepted, refs, sentAt },
  };
}

function accept(state: StreamState, refs: readonly ResourceRef[], sentAt: number): StreamState {
  const names = refs.map(({ name }) => name).filter((name) => state.served.has(name));
  return {
    ...state,
    alone: without(state.alone, names),
    holds: withAll(state.holds, names),
    leases: takeLeases(state.leases, refs, sentAt),
    flights: state.flights.map((flight) => ({
      ...flight,
      fresh: flight.fresh.filter((name) => !names.includes(name)),
    })),
  };
}

function refuse(before: StreamState, refs: readonly ResourceRef[]): StreamState {
  // What is refused now is not kept alive, though it was taken once.
  const lost = refs.filter(({ name, version }) => before.leases.get(name)?.version === version);
  const names = lost.map(({ name }) => name);
  const state = { ...before, leases: withoutLeases(before.leases, names) };
  const [first] = refs;
  if (first !== undefined && refs.length === 1) {
    return first.isReducible
      ? { ...state, declined: withAll(state.declined, [first.name]) }
      : state;
  }
  const alone = new Set(state.alone);
  const served = new Map(state.served);
  for (const { name, version } of refs) {
    if (served.get(name) !== version) continue;
    served.set(name, UNSURE);
    alone.add(name);
  }
  return { ...state, served, alone };
}

/** The client may have dropped what it was to keep. */
function forget(state: StreamState, heartbeats: readonly Heartbeat[]): StreamState {
  if (heartbeats.length === 0) return state;
  const served = new Map(state.served);
  for (const { name, version } of heartbeats) {
    if (served.get(name) === version) served.set(name, UNSURE);
  }
  const names = heartbeats.map(({ name }) => name);
  return { ...state, served, leases: withoutLeases(state.leases, names) };
}

/** How many names the client waits for. */
export function countWaiting(state: StreamState): number {
  let waiting = 0;
  for (const name of state.names) {
    if (!state.served.has(name) || state.claimed.has(name)) waiting++;
  }
  return waiting;
}

/** The same set where nothing is new. */
export function withAll(set: ReadonlySet<string>, names: readonly string[]): ReadonlySet<string> {
  return names.every((name) => set.has(name)) ? set : new Set([...set, ...names]);
}

/** The same set where nothing goes, so that streams at rest share what they can. */
export function without(set: ReadonlySet<string>, names: readonly string[]): ReadonlySet<string> {
  if (!names.some((name) => set.has(name))) return set;
  const left = new Set(set);
  for (const name of names) left.delete(name);
  return left.size === 0 ? none : left;
}
