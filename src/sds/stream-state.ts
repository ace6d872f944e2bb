import type { SecretRef } from './secret.ts';

/** What one stream has asked for, was sent and has answered. Immutable. */
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
  /** Names of validation contexts that the client refuses with a list of SPIFFE IDs in them. */
  readonly declined: ReadonlySet<string>;
  /** Names that a stale request left out: if the next one has them, they count as new (SotW). */
  readonly dropped: ReadonlySet<string>;
  /** Responses not yet answered, oldest first. */
  readonly flights: readonly Flight[];
}

interface Flight {
  readonly nonce: number;
  readonly refs: readonly SecretRef[];
  /** Those of its names the client had no version of before. */
  readonly fresh: readonly string[];
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
  flights: [],
};

/** A client's answer to a response: what it held, and whether the client took it. */
export interface Verdict {
  readonly accepted: boolean;
  readonly refs: readonly SecretRef[];
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
}

/**
 * Notes the answer to the response with that nonce. A refused secret is not sent again until its
 * content changes; if it was refused together with others, each of them is sent once more, alone. One
 * that lists SPIFFE IDs is followed by one that does without.
 */
export function settle(
  state: StreamState,
  nonce: string,
  accepted: boolean,
): { readonly state: StreamState; readonly verdict: Verdict | undefined } {
  const index = state.flights.findIndex((flight) => String(flight.nonce) === nonce);
  const flight = state.flights[index];
  if (flight === undefined) return { state, verdict: undefined };
  const { refs, fresh, sentAt } = flight;
  const settled = { ...state, flights: state.flights.slice(index + 1) };
  return {
    state: accepted
      ? accept(settled, refs)
      : refuse({ ...settled, holds: without(settled.holds, fresh) }, refs),
    verdict: { accepted, refs, sentAt },
  };
}

function accept(state: StreamState, refs: readonly SecretRef[]): StreamState {
  const names = refs.map(({ name }) => name).filter((name) => state.served.has(name));
  return {
    ...state,
    alone: without(state.alone, names),
    holds: withAll(state.holds, names),
    flights: state.flights.map((flight) => ({
      ...flight,
      fresh: flight.fresh.filter((name) => !names.includes(name)),
    })),
  };
}

function refuse(state: StreamState, refs: readonly SecretRef[]): StreamState {
  const [first] = refs;
  if (first !== undefined && refs.length === 1) {
    return first.isScoped ? { ...state, declined: withAll(state.declined, [first.name]) } : state;
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
