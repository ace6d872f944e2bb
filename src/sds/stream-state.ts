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
  /** Name → version the client has, or has refused: not to be sent again. */
  readonly served: ReadonlyMap<string, string>;
  /** Names in `served` only because the client says so, from an earlier stream. */
  readonly claimed: ReadonlySet<string>;
  /** Names of a refused response that held several: sent one by one, to tell the bad from the good. */
  readonly alone: ReadonlySet<string>;
  /** Responses not yet answered, oldest first. */
  readonly flights: readonly Flight[];
}

interface Flight {
  readonly nonce: number;
  readonly refs: readonly SecretRef[];
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
}

const none: ReadonlySet<string> = new Set<string>();

export const initialStreamState: StreamState = {
  started: false,
  wildcard: 'none',
  names: none,
  nonce: 0,
  served: new Map(),
  claimed: none,
  alone: none,
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
  const { refs, sentAt } = flight;
  const settled = { ...state, flights: state.flights.slice(index + 1) };
  return {
    state: accepted || refs.length > 1 ? judge(settled, refs, accepted) : settled,
    verdict: { accepted, refs, sentAt },
  };
}

function judge(state: StreamState, refs: readonly SecretRef[], accepted: boolean): StreamState {
  if (accepted && state.alone.size === 0) return state;
  const alone = new Set(state.alone);
  if (accepted) {
    for (const { name } of refs) alone.delete(name);
    return { ...state, alone };
  }
  const served = new Map(state.served);
  for (const { name, version } of refs) {
    if (served.get(name) !== version) continue;
    served.delete(name);
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
  const due = findDue(state, view, now);
  const secrets =
    due.withdrawn === undefined ? takeBatch(due.secrets, state.alone) : [due.withdrawn];
  const removed = due.withdrawn === undefined ? due.removed : [];
  if (secrets.length === 0 && removed.length === 0) return { state, response: undefined };
  const nonce = state.nonce + 1;
  const refs = secrets.map(({ ref }) => ref);
  return {
    state: {
      ...state,
      ...give(state, refs, due.withdrawn === undefined ? removed : refs.map(({ name }) => name)),
      nonce,
      flights: [...state.flights, { nonce, refs, sentAt: now }].slice(-MAX_FLIGHTS),
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
  /** Goes before everything else, and alone, so that nothing else can make the client refuse it. */
  withdrawn: Secret | undefined;
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

/** A name that was never served stays in silence: a removal would make Envoy go live without it. */
function addLost(due: Due, state: StreamState, view: SecretView, name: string): void {
  if (!state.served.has(name)) return;
  const withdrawal = view.withdrawal(name);
  if (withdrawal === undefined) due.removed.push(name);
  else due.withdrawn ??= withdrawal;
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

/** A name that was taken back is forgotten, so that it is news when it returns. */
function give(
  state: StreamState,
  refs: readonly SecretRef[],
  forgotten: readonly string[],
): Pick<StreamState, 'served' | 'claimed'> {
  const served = new Map(state.served);
  for (const { name, version } of refs) served.set(name, version);
  for (const name of forgotten) served.delete(name);
  const claimed = new Set(state.claimed);
  for (const name of [...refs.map((ref) => ref.name), ...forgotten]) claimed.delete(name);
  return { served, claimed: claimed.size === 0 ? none : claimed };
}
