import type { DeltaRequest } from './discovery-request.ts';
import { withoutLeases } from './leases.ts';
import { type StreamState, settle, UNSURE, type Verdict, without } from './stream-state.ts';

/**
 * Takes a request in. Subscriptions count whatever response it answers; a name that is subscribed to
 * is answered even if unchanged, save on the first request, where the client says what it holds.
 */
export function receiveDelta(
  state: StreamState,
  request: DeltaRequest,
  now: number,
): { readonly state: StreamState; readonly verdict: Verdict | undefined } {
  const settled = settle(state, request.nonce, request.refusal === undefined, now);
  if (!state.started) return { ...settled, state: start(settled.state, request) };
  if (request.subscribe.length === 0 && request.unsubscribe.length === 0) return settled;
  return { ...settled, state: subscribe(unsubscribe(settled.state, request), request) };
}

function start(state: StreamState, request: DeltaRequest): StreamState {
  const names = new Set(request.subscribe);
  const asked = names.delete('*');
  const wildcard = asked ? 'asked' : names.size === 0 ? 'implied' : 'none';
  const held = [...request.initialVersions].filter(
    ([name]) => wildcard !== 'none' || names.has(name),
  );
  const claimed = new Set(held.map(([name]) => name));
  return {
    ...state,
    started: true,
    wildcard,
    names,
    served: new Map(held),
    holds: claimed,
    claimed,
  };
}

/** What leaves is not forgotten: it may be under way while the client wants it back. */
function unsubscribe(state: StreamState, request: DeltaRequest): StreamState {
  const names = new Set(state.names);
  const left = request.unsubscribe.filter((name) => names.delete(name));
  const wildcard = request.unsubscribe.includes('*') ? 'none' : state.wildcard;
  return {
    ...state,
    wildcard,
    names,
    served: unsure(state.served, left),
    // A wildcard may still cover the name; if it does not, the client is told so.
    holds: wildcard === 'none' ? without(state.holds, left) : state.holds,
    alone: without(state.alone, left),
    told: without(state.told, left),
    leases: withoutLeases(state.leases, left),
  };
}

function subscribe(state: StreamState, request: DeltaRequest): StreamState {
  const names = new Set([...state.names, ...request.subscribe]);
  const all = names.delete('*');
  const covered = all ? [...state.served.keys()].filter((name) => !names.has(name)) : [];
  return {
    ...state,
    wildcard: all ? 'asked' : state.wildcard,
    names,
    served: unsure(state.served, [...request.subscribe, ...covered]),
    holds: without(state.holds, request.subscribe),
    told: without(state.told, request.subscribe),
  };
}

/** Whatever the client holds of these names, they are answered again. */
function unsure(served: StreamState['served'], names: readonly string[]): StreamState['served'] {
  const next = new Map(served);
  for (const name of names) if (next.has(name)) next.set(name, UNSURE);
  return next;
}
