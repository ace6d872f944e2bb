import type { Secret, SecretRef } from './secret.ts';
import type { SecretView } from './secret-view.ts';

/** Responses a client may leave unanswered before the oldest is forgotten. */
const MAX_FLIGHTS = 16;
/** A response is cut here, so that a client with the default limit of 4 MiB can take it. */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

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

export interface SecretResponse {
  readonly nonce: string;
  readonly secrets: readonly Secret[];
  /** Names the client had and lost; delta alone can say so. */
  readonly removed: readonly string[];
}

/**
 * Notes the answer to the response with that nonce. A refused secret is not sent again until its
 * content changes; if it was refused together with others, each of them is sent once more, alone.
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
  return { ...state, alone: without(state.alone, names), holds: withAll(state.holds, names) };
}

function refuse(state: StreamState, refs: readonly SecretRef[]): StreamState {
  if (refs.length < 2) return state;
  const alone = new Set(state.alone);
  const served = new Map(state.served);
  for (const { name, version } of refs) {
    if (served.get(name) !== version) continue;
    served.set(name, UNSURE);
    alone.add(name);
  }
  return { ...state, served, alone };
}

/**
 * The next response that brings the client to `view`, if one is due. It depends on the state alone,
 * not on what led to it, so however many changes a slow stream sleeps through, it is sent the latest.
 */
export function respond(
  state: StreamState,
  view: SecretView,
  now: number,
): { readonly state: StreamState; readonly response: SecretResponse | undefined } {
  if (!state.started) return { state, response: undefined };
  const { secrets, removed, forgotten } = choose(findDue(state, view, now), state.alone);
  if (secrets.length === 0 && removed.length === 0) return { state, response: undefined };
  const nonce = state.nonce + 1;
  const refs = secrets.map(({ ref }) => ref);
  const fresh = refs.map(({ name }) => name).filter((name) => !state.holds.has(name));
  return {
    state: {
      ...state,
      ...give(state, refs, forgotten),
      nonce,
      flights: [...state.flights, { nonce, refs, fresh, sentAt: now }].slice(-MAX_FLIGHTS),
    },
    response: { nonce: String(nonce), secrets, removed },
  };
}

/** How many names the client waits for. */
export function countWaiting(state: StreamState): number {
  let waiting = 0;
  for (const name of state.names) {
    if (!state.served.has(name) || state.claimed.has(name)) waiting++;
  }
  return waiting;
}

interface Due {
  readonly secrets: Secret[];
  readonly removed: string[];
  withdrawn: Secret | undefined;
}

interface Choice {
  readonly secrets: readonly Secret[];
  readonly removed: readonly string[];
  /** Taken back, so that it is news when it returns. */
  readonly forgotten: readonly string[];
}

/** What takes something back goes first and alone, so that nothing else can make the client refuse it. */
function choose({ withdrawn, removed, secrets }: Due, alone: ReadonlySet<string>): Choice {
  if (withdrawn !== undefined) {
    return { secrets: [withdrawn], removed: [], forgotten: [withdrawn.name] };
  }
  if (removed.length > 0) return { secrets: [], removed, forgotten: removed };
  return { secrets: takeBatch(secrets, alone), removed, forgotten: [] };
}

function findDue(state: StreamState, view: SecretView, now: number): Due {
  const due: Due = { secrets: [], removed: [], withdrawn: undefined };
  const wildcard = state.wildcard !== 'none';
  const wanted = wildcard ? new Set([...state.names, ...view.names]) : state.names;
  for (const name of wanted) {
    const found = view.resolve(name, now);
    if (found === 'expired') continue;
    if (typeof found === 'object') {
      if (state.served.get(name) !== found.version) due.secrets.push(found);
    } else if (found === 'refused' || !state.claimed.has(name)) {
      addLost(due, state, view, name);
    }
  }
  if (wildcard) {
    for (const name of state.served.keys()) {
      if (!wanted.has(name)) addLost(due, state, view, name);
    }
  }
  return due;
}

/** Only what the client holds is removed: a removal of anything else would make Envoy go live without it. */
function addLost(due: Due, state: StreamState, view: SecretView, name: string): void {
  if (!state.served.has(name) || due.withdrawn !== undefined) return;
  due.withdrawn = view.withdrawal(name);
  if (due.withdrawn === undefined && state.holds.has(name)) due.removed.push(name);
}

function takeBatch(due: readonly Secret[], alone: ReadonlySet<string>): readonly Secret[] {
  const together = due.filter(({ name }) => !alone.has(name));
  if (together.length === 0) return due.slice(0, 1);
  let bytes = 0;
  const end = together.findIndex(({ sotw }, index) => {
    bytes += sotw.length;
    return index > 0 && bytes > MAX_RESPONSE_BYTES;
  });
  return end === -1 ? together : together.slice(0, end);
}

function give(
  state: StreamState,
  refs: readonly SecretRef[],
  forgotten: readonly string[],
): Pick<StreamState, 'served' | 'holds' | 'claimed'> {
  const served = new Map(state.served);
  for (const { name, version } of refs) served.set(name, version);
  for (const name of forgotten) served.delete(name);
  const names = refs.map(({ name }) => name);
  return {
    served,
    holds: without(withAll(state.holds, names), forgotten),
    claimed: without(state.claimed, [...names, ...forgotten]),
  };
}

/** The same set where nothing is new. */
function withAll(set: ReadonlySet<string>, names: readonly string[]): ReadonlySet<string> {
  return names.every((name) => set.has(name)) ? set : new Set([...set, ...names]);
}

/** The same set where nothing goes, so that streams at rest share what they can. */
export function without(set: ReadonlySet<string>, names: readonly string[]): ReadonlySet<string> {
  if (!names.some((name) => set.has(name))) return set;
  const left = new Set(set);
  for (const name of names) left.delete(name);
  return left.size === 0 ? none : left;
}
