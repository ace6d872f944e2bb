import type { SotwRequest } from './discovery-request.ts';
import { withoutLeases } from './leases.ts';
import type { ResourceView } from './resource-view.ts';
import { type Response, respond } from './respond.ts';
import { type StreamState, settle, UNSURE, type Verdict, without } from './stream-state.ts';

/** Where a stream stands after a request, and what the request said of an earlier response. */
export interface Received {
  readonly state: StreamState;
  readonly verdict: Verdict | undefined;
}

/**
 * Takes a request in. One that answers anything but the latest response changes no subscription: the
 * client had not seen that response yet, and will name what it wants when it answers it.
 */
export function receiveSotw(state: StreamState, request: SotwRequest, now: number): Received {
  const settled = settle(state, request.nonce, request.refusal === undefined, now);
  const stale = state.nonce > 0 && request.nonce !== String(state.nonce);
  const take = stale ? noteDropped : subscribe;
  return { ...settled, state: take(settled.state, request) };
}

/** The next response that is due. What is lost is forgotten in silence: SotW cannot remove it. */
export function respondSotw(
  state: StreamState,
  view: ResourceView,
  now: number,
): { readonly state: StreamState; readonly response: Response | undefined } {
  // Envoy puts heartbeats aside in a SotW response, and renews nothing.
  const next = respond(state, view, now, 'whole');
  if (next.response === undefined || next.response.removed.length === 0) return next;
  const { served, claimed, told, leases } = next.state;
  return respond({ ...state, served, claimed, told, leases }, view, now, 'whole');
}

function subscribe(state: StreamState, request: SotwRequest): StreamState {
  const names = new Set(request.names);
  const wildcard = wildcardOf(state, names);
  names.delete('*');
  if (!state.started) return start(state, request, names, wildcard);
  const same = wildcard === state.wildcard && sameMembers(names, state.names);
  if (same && state.dropped.size === 0) return state;
  // A name that is new on the list is answered again; one that left it is forgotten.
  const isOld = (name: string): boolean =>
    names.has(name)
      ? state.names.has(name) && !state.dropped.has(name)
      : wildcard !== 'none' && !state.names.has(name);
  const served = [...state.served]
    .filter(([name]) => names.has(name) || isOld(name))
    .map(([name, version]) => [name, isOld(name) ? version : UNSURE] as const);
  return {
    ...state,
    wildcard,
    names,
    served: new Map(served),
    claimed: new Set([...state.claimed].filter((name) => names.has(name))),
    alone: new Set([...state.alone].filter(isOld)),
    dropped: new Set(),
    told: without(
      state.told,
      [...state.told].filter((name) => !names.has(name)),
    ),
    leases: withoutLeases(
      state.leases,
      [...state.leases.keys()].filter((name) => !names.has(name)),
    ),
  };
}

/** Between two lists that do count, a client may let a name go and want it back. */
function noteDropped(state: StreamState, request: SotwRequest): StreamState {
  const listed = new Set(request.names);
  const left = [...state.names].filter((name) => !listed.has(name));
  return left.length === 0 ? state : { ...state, dropped: new Set([...state.dropped, ...left]) };
}

/** A version on the first request says that the client holds something of these names; not what. */
function start(
  state: StreamState,
  request: SotwRequest,
  names: ReadonlySet<string>,
  wildcard: StreamState['wildcard'],
): StreamState {
  const started = { ...state, started: true, wildcard, names };
  if (request.versionInfo === '') return started;
  return { ...started, served: new Map([...names].map((name) => [name, UNSURE])), claimed: names };
}

/** An empty list means everything only until the client has named something (xDS, "Wildcard"). */
function wildcardOf(state: StreamState, names: ReadonlySet<string>): StreamState['wildcard'] {
  if (names.has('*')) return 'asked';
  const neverNamed = !state.started || state.wildcard === 'implied';
  return names.size === 0 && neverNamed ? 'implied' : 'none';
}

function sameMembers(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((name) => b.has(name));
}
